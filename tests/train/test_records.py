"""A row that was told of is on disk, whatever kills the writer, and damage is seen."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixlaw.errors import Refused
from mixlaw.train import records
from mixlaw.train.records import Writer, read_records


def row(run: str, tokens: int, loss: float = 2.5) -> dict[str, object]:
    return {"run": run, "tokens": tokens, "loss.täst": loss}


def written(folder: Path) -> Path:
    path = folder / "records-1.jsonl"
    writer = Writer(path)
    writer.member("a", {"threads": 1})
    writer.row(row("a", 100))
    writer.row(row("a", 200, 1 / 3))
    writer.close()
    return path


def test_rows_read_back_to_the_same_bits(tmp_path: Path) -> None:
    written(tmp_path)
    found = read_records(tmp_path)
    assert found.rows == {"a": {100: row("a", 100), 200: row("a", 200, 1 / 3)}}
    assert found.members == {"a": {"threads": 1}}
    assert not found.notes


def test_a_folder_without_records_holds_none(tmp_path: Path) -> None:
    assert read_records(tmp_path / "absent").rows == {}


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_torn_last_line_is_dropped_and_cut_off_before_more_is_written(tmp_path: Path, kept: float) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    path.write_bytes(whole[: last + max(1, int(kept * (len(whole) - last)))])
    found = read_records(tmp_path)
    assert set(found.rows["a"]) == {100}
    assert "torn" in found.notes[0]
    writer = Writer(path)
    writer.row(row("a", 300))
    writer.close()
    assert set(read_records(tmp_path).rows["a"]) == {100, 300}


def test_any_flipped_byte_but_the_last_newline_is_seen(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(Refused, match=r"line \d is damaged; restore it, or delete that line"):
            read_records(tmp_path)


def test_the_rows_of_a_later_training_stand(tmp_path: Path) -> None:
    written(tmp_path)
    second = Writer(tmp_path / "records-0.jsonl")
    second.member("a", {"threads": 1})
    second.row(row("a", 100, 9.0))
    second.close()
    assert read_records(tmp_path).rows["a"][100]["loss.täst"] == 9.0
    assert read_records(tmp_path).rows["a"][200]["loss.täst"] == 1 / 3


def test_a_failure_stands_until_the_run_is_trained_again(tmp_path: Path) -> None:
    path = written(tmp_path)
    writer = Writer(path)
    writer.failed("a", "the loss is not a number", final=True)
    assert read_records(tmp_path).failed["a"]["reason"] == "the loss is not a number"
    writer.member("a", {"threads": 1})
    assert not read_records(tmp_path).failed
    writer.close()


def test_numbers_that_are_not_finite_never_enter_a_record(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "records-1.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        writer.row(row("a", 100, float("nan")))
    writer.close()


def test_a_file_has_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PATIENCE_S", 0.2)
    first = Writer(tmp_path / "records-1.jsonl")
    with pytest.raises(Refused, match="written by another process"):
        Writer(tmp_path / "records-1.jsonl")
    first.close()
    Writer(tmp_path / "records-1.jsonl").close()


def test_a_disk_that_is_full_is_refused_and_what_was_measured_is_kept(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from mixlaw.errors import Refused
from mixlaw.train.records import Writer
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = Writer(Path(sys.argv[1]))
writer.row({"run": "a", "tokens": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try:
    writer.row({"run": "a", "tokens": 2, "filler": "x" * 1000})
except Refused as error:
    print(error)
"""
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "records-1.jsonl")], capture_output=True, text=True, check=True
    )
    assert "what was measured before is kept" in answer.stdout
    assert set(read_records(tmp_path).rows["a"]) == {1}


def test_the_name_of_a_new_file_is_on_disk_before_anything_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr("os.fsync", lambda handle: flushed.append(str(Path(f"/proc/self/fd/{handle}").readlink())))
    written(tmp_path / "study" / "runs")
    file = str(tmp_path / "study" / "runs" / "records-1.jsonl")
    assert flushed == [str(tmp_path / "study" / "runs"), str(tmp_path / "study"), file, file, file]


def test_a_file_system_that_keeps_no_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(
        Refused, match=r"records-1.jsonl lies on a file system that keeps no locks \(No locks available"
    ):
        Writer(tmp_path / "records-1.jsonl")
