"""A run is in the hands of one worker, whoever asks at once."""

import errno
from pathlib import Path
from threading import Barrier, Thread

import pytest

from mixlaw.errors import Refused
from mixlaw.launch.lock import locked
from mixlaw.launch.queue import CLAIMS, Claim, Queue


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """A queue whose claims may be made."""
    found = Queue(tmp_path / "runs")
    (found.folder / CLAIMS).mkdir(parents=True)
    return found


def test_of_many_workers_that_ask_at_once_one_gets_the_run(queue: Queue) -> None:
    got: list[Claim] = []
    together = Barrier(8)

    def ask(worker: str) -> None:
        for number in range(20):
            together.wait()
            claim = queue.claim(f"run {number}", worker)
            if claim is not None:
                got.append(claim)

    threads = [Thread(target=ask, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.run for claim in got) == sorted(f"run {number}" for number in range(20))
    assert {run: claim.worker for run, claim in queue.claims().items()} == {claim.run: claim.worker for claim in got}


def test_a_run_may_have_any_name(queue: Queue) -> None:
    for name in ("a/b", "..", "ä ö", "50% more", ".hidden"):
        assert queue.claim(name, "1") is not None
        assert queue.claim(name, "2") is None
    assert set(queue.claims()) == {"a/b", "..", "ä ö", "50% more", ".hidden"}


def test_what_the_living_hold_stays_theirs(queue: Queue) -> None:
    for run, worker in (("a", "1"), ("b", "2"), ("c", "1")):
        queue.claim(run, worker)
    queue.tell(Claim("c", "1", "here", 1, state="over"))
    (queue.folder / CLAIMS / "d.json").write_text('{"of": "another version"}')
    queue.release_all_but(["1"])
    assert set(queue.claims()) == {"a"}
    assert queue.claim("d", "3") is not None


def test_a_file_system_without_locks_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none_here)
    with pytest.raises(Refused, match=r"keeps no locks \(No locks available\)"), locked(tmp_path):
        pass
