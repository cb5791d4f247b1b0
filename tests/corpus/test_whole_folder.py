"""What a kill leaves of a folder in the making is removed by the next, and nothing else is."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mixlaw.corpus.whole_folder import whole_folder

BUILD = """
import sys, time
from pathlib import Path
from mixlaw.corpus.whole_folder import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("a half")
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def begun(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """Another process that is half way."""
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path / "corpus")], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    return process


def end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def make(out: Path, content: str) -> None:
    with whole_folder(out) as folder:
        (folder / "whole").write_text(content)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, begun: "subprocess.Popen[bytes]") -> None:
    end(begun)
    assert [path.name[:17] for path in tmp_path.iterdir()] == [".corpus.building-"]
    make(tmp_path / "corpus", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_what_a_living_process_builds_and_what_is_not_ours_stays(
    tmp_path: Path, begun: "subprocess.Popen[bytes]"
) -> None:
    (tmp_path / ".corpus.backup").mkdir()
    (tmp_path / ".other.building-1").mkdir()
    try:
        make(tmp_path / "corpus", "new")
        assert (next(tmp_path.glob(".corpus.building-*")) / "half").read_text() == "a half"
    finally:
        end(begun)
    assert (tmp_path / ".corpus.backup").is_dir() and (tmp_path / ".other.building-1").is_dir()


def test_a_folder_that_was_moved_aside_and_never_replaced_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".corpus.building-1").mkdir()
    (tmp_path / ".corpus.building-1.old").mkdir()
    (tmp_path / ".corpus.building-1.old" / "whole").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "corpus"):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert (tmp_path / "corpus" / "whole").read_text() == "old"
