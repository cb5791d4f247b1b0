"""How the runs on record were trained: which numbers determined them, with how many threads, in which pack."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.train.members import Member
from mixlaw.train.records import Recorded, read_records

FIELDS = ("numbers", "threads", "pack")
"""What `mixlaw.launch.job.do` records when the training of a run begins."""


@dataclass(frozen=True)
class Begun:
    """A run whose training began.

    Attributes:
        numbers: everything that determines its losses but the threads.
        member: of those, what is its own.
        threads: of the CPU it was trained with.
        pack: names of the runs trained as one with it, its own among them.
    """

    numbers: Mapping[str, Any]
    member: Member
    threads: int
    pack: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """Everything on record in a study's folder.

    Attributes:
        recorded: rows, failures, times.
        begun: by run.
    """

    recorded: Recorded
    begun: Mapping[str, Begun]


def read_history(runs: Path) -> History:
    """Read a folder of records; none there is an empty history.

    Raises:
        Refused: for damaged records, or records of a form that this version does not write.
    """
    try:
        recorded = read_records(runs)
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(_of_another_version(runs, f"a record without {error}")) from None
    return History(recorded, {run: _begun(runs, run, entry) for run, entry in recorded.members.items()})


def _begun(runs: Path, run: str, entry: Mapping[str, Any]) -> Begun:
    missing = [name for name in FIELDS if name not in entry]
    if missing:
        raise Refused(_of_another_version(runs, f"run '{run}' without {', '.join(missing)}"))
    try:
        member = Member.from_json(entry["numbers"]["member"])
    except (KeyError, TypeError, Refused) as error:
        raise Refused(_of_another_version(runs, f"run '{run}' described in another way ({error})")) from None
    return Begun(entry["numbers"], member, int(entry["threads"]), tuple(entry["pack"]))


def _of_another_version(runs: Path, found: str) -> str:
    return (
        f"{runs} holds {found}: another version of mixlaw wrote it; train in another folder, or go on with that "
        "version (a run table that it wrote, runs.csv, stays readable)"
    )
