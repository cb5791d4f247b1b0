"""What was measured, on disk before anything else hears of it.

A study's `runs/` folder holds one file a writer, `records-<writer>.jsonl`, append-only: one record a line, with a
checksum, flushed to the disk before the writer goes on. A kill at any moment can tear the last line of a file and no
other; reading drops it. The run table is rebuilt from the records, whoever wrote them and in whatever order.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from mixlaw.errors import Refused
from mixlaw.files import flush

Row = dict[str, Any]
PATIENCE_S = 10.0
"""How long a writer waits for another that is about to end, such as a worker whose parent was killed."""


@dataclass
class Recorded:
    """Everything a study's records say.

    Attributes:
        rows: by run, then tokens: rows of the run table.
        members: by run: the specification under which its training began.
        failed: by run: why it ended without its rows.
        weights: by run, then step: what its mixture and weights were, where they moved.
        seconds: by run: from the start of its training to its last row.
        notes: what reading left out.
    """

    rows: dict[str, dict[int, Row]] = field(default_factory=dict)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: dict[str, dict[int, Row]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Writer:
    """Appends records to one file that no other process writes.

    A torn last line, left by a kill, is cut off first. The file's name is on disk before anything is written to it.

    Args:
        path: of the file; made if absent.

    Raises:
        Refused: if another process writes it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            for folder in (path.parent, path.parent.parent):
                flush(folder)
        except OSError as error:
            raise Refused(f"{path} cannot be written: {error.strerror}; choose another folder") from error
        try:
            _own(self._file.fileno(), path)
        except Refused:
            self._file.close()
            raise
        whole = path.read_bytes().rfind(b"\n") + 1
        self._file.truncate(whole)

    def member(self, run: str, specification: Mapping[str, Any]) -> None:
        """Training of a run begins; `specification` is what determines its numbers."""
        self._append({"record": "member", "run": run, "specification": specification})

    def row(self, row: Row) -> None:
        """A row was measured; it is on disk when this returns."""
        self._append({"record": "row", "run": row["run"], "row": row})

    def weights(self, row: Row) -> None:
        """What a run's mixture and weights were at a step."""
        self._append({"record": "weights", "run": row["run"], "row": row})

    def failed(self, run: str, reason: str, *, final: bool) -> None:
        """A run ended without all its rows; `final` if training it again would end the same way."""
        self._append({"record": "failed", "run": run, "reason": reason, "final": final})

    def close(self) -> None:
        """Let another process write the file."""
        self._file.close()

    def _append(self, content: dict[str, Any]) -> None:
        body = json.dumps({**content, "time": time.time()}, sort_keys=True, ensure_ascii=False, allow_nan=False)
        line = f'{{"content": {body}, "crc32": "{crc32(body.encode()):08x}"}}\n'.encode()
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise Refused(
                f"{self.path} cannot be written: {error.strerror}; what was measured before is kept: "
                "make room, then run the same command again"
            ) from error


def read_records(folder: Path) -> Recorded:
    """Read the records of a study from its `runs/` folder; none there is an empty answer.

    Where a run was trained twice, as when it was killed half way, the rows of the later training stand.

    Raises:
        Refused: for a line that is damaged and is not the torn end of its file.
    """
    found = Recorded()
    contents = [content for path in sorted(folder.glob("records-*.jsonl")) for content in _read(path, found.notes)]
    started: dict[str, float] = {}
    for content in sorted(contents, key=lambda content: float(content["time"])):
        run = content["run"]
        if content["record"] == "member":
            found.members[run] = content["specification"]
            found.failed.pop(run, None)
            started[run] = content["time"]
        elif content["record"] == "row":
            found.rows.setdefault(run, {})[content["row"]["tokens"]] = content["row"]
            found.seconds[run] = content["time"] - started.get(run, content["time"])
        elif content["record"] == "weights":
            found.weights.setdefault(run, {})[content["row"]["step"]] = content["row"]
        elif content["record"] == "failed":
            found.failed[run] = content
    return found


def _read(path: Path, notes: list[str]) -> Iterable[dict[str, Any]]:
    lines = path.read_bytes().split(b"\n")
    if lines[-1]:
        notes.append(f"{path.name}: the last line is torn ({len(lines[-1])} bytes), as a kill leaves it; dropped")
    for number, line in enumerate(lines[:-1], start=1):
        yield _content(line, f"{path}: line {number}")


def _content(line: bytes, place: str) -> dict[str, Any]:
    damaged = f"{place} is damaged; restore it, or delete that line to train its run again"
    try:
        outer = json.loads(line)
        content, check = outer["content"], outer["crc32"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused(damaged) from None
    body = line[len(b'{"content": ') : line.rfind(b', "crc32"')]
    if f"{crc32(body):08x}" != check or not isinstance(content, dict):
        raise Refused(damaged)
    return content


def _own(handle: int, path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Refused(f"{path} is being written by another process; wait for it, or stop it") from None
            time.sleep(0.1)
        except OSError as error:
            raise Refused(
                f"{path} lies on a file system that keeps no locks ({error.strerror}); put the study on one that does"
            ) from error
