"""What waits to be trained, and who trains what: files that every worker sees, whichever engine started it.

    runs/queue/waiting.json          the setting and the runs to train, the longest first; replaced whole
    runs/queue/claims/<run>.json     who trains a run and how far it is; made by one worker alone
    runs/queue/refused-<worker>      why a worker refused to go on

A claim is made by linking a whole file to its name, which the file system lets happen once, on NFS too. Nothing here is
evidence that a run is done: only its records are.
"""

import json
import os
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from mixlaw.errors import Refused
from mixlaw.files import read_json, read_text, write_json, write_text
from mixlaw.train.members import Member, Setting

FOLDER, WAITING, CLAIMS, REFUSED = "queue", "waiting.json", "claims", "refused-"

SILENT_S = 120.0
"""A worker tells every second or so how far it is, but for the first steps on a GPU, while they are compiled."""

State = Literal["training", "over", "crashed"]


@dataclass(frozen=True)
class Waiting:
    """What the workers of a study are to train.

    Attributes:
        setting: of the study.
        numbers: what a worker has to find that determines losses (`mixlaw.launch.job.numbers`), or refuse.
        members: to train, the longest first.
        threads: of the CPU, by run.
        packs: members trained as one, by size, where runs on record have fixed it.
        workers: that share the members.
        checkpoints: whether proxies save their state.
    """

    setting: Setting
    numbers: Mapping[str, Any]
    members: Sequence[Member]
    threads: Mapping[str, int]
    packs: Mapping[str, int]
    workers: int
    checkpoints: bool = False

    def as_json(self) -> dict[str, Any]:
        """As JSON, for the workers."""
        members = [member.as_json() for member in self.members]
        rest = {name: getattr(self, name) for name in ("numbers", "threads", "packs", "workers", "checkpoints")}
        return {**rest, "setting": self.setting.as_json(), "members": members}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Waiting":
        """Read `as_json`."""
        members = tuple(Member.from_json(member) for member in content["members"])
        return cls(**{**content, "setting": Setting.from_json(content["setting"]), "members": members})


@dataclass(frozen=True)
class Claim:
    """One run in the hands of one worker.

    Attributes:
        run: its name.
        worker: who trains it.
        host, process: where.
        state: whether it is in training, ended on its own (well or diverged), or crashed.
        starts: how often this worker began it: more than once if its engine restarted it.
        tokens: trained on so far.
        why: of a crash.
        told_s: when this was written, seconds since 1970.
    """

    run: str
    worker: str
    host: str
    process: int
    state: State = "training"
    starts: int = 1
    tokens: int = 0
    why: str = ""
    told_s: float = 0.0


class Queue:
    """The queue of one study.

    Args:
        runs: the study's folder of records.
    """

    def __init__(self, runs: Path) -> None:
        self.runs, self.folder = runs, runs / FOLDER

    def offer(self, waiting: Waiting) -> None:
        """Say what is to be trained, in place of what was said before."""
        (self.folder / CLAIMS).mkdir(parents=True, exist_ok=True)
        write_json(self.folder / WAITING, waiting.as_json())

    def waiting(self) -> Waiting | None:
        """What is to be trained; None if nobody asks for anything."""
        path = self.folder / WAITING
        return Waiting.from_json(read_json(path)) if path.is_file() else None

    def claim(self, run: str, worker: str) -> Claim | None:
        """Take a run; None if another worker has it."""
        claim = Claim(run, worker, socket.gethostname(), os.getpid())
        temporary = self._written(claim)
        try:
            os.link(temporary, self._path(run))
        except FileExistsError:
            return None
        except OSError as error:
            raise Refused(f"{self._path(run)} cannot be made: {error.strerror}; put the study elsewhere") from error
        finally:
            temporary.unlink(missing_ok=True)
        return claim

    def tell(self, claim: Claim) -> None:
        """Say how far a run is that this worker has."""
        self._written(claim).replace(self._path(claim.run))

    def claims(self) -> dict[str, Claim]:
        """Who has what, by run."""
        claims = map(_read, sorted((self.folder / CLAIMS).glob("*.json")))
        return {claim.run: claim for claim in claims if claim is not None}

    def running(self) -> list[Claim]:
        """Runs in training, by workers that were heard of lately."""
        recent = time.time() - SILENT_S
        return [claim for claim in self.claims().values() if claim.state == "training" and claim.told_s > recent]

    def release(self, run: str) -> None:
        """Let any worker take a run; only for whoever knows that its worker is gone."""
        self._path(run).unlink(missing_ok=True)

    def bury(self, run: str, why: str) -> None:
        """Let no worker take a run again, not even one of the same name as the worker that is gone."""
        claim = self.claims().get(run)
        if claim is not None:
            self.tell(replace(claim, state="crashed", why=why))

    def release_all_but(self, workers: Sequence[str]) -> None:
        """Release what is in the hands of anyone but these workers."""
        for path in (self.folder / CLAIMS).glob("*.json"):
            claim = _read(path)
            if claim is None or claim.worker not in workers or claim.state != "training":
                path.unlink(missing_ok=True)
        for path in self.folder.glob(f"{REFUSED}*"):
            path.unlink()

    def refuse(self, worker: str, why: str) -> None:
        """Tell that a worker refused to go on, as no other would get further."""
        write_text(self.folder / f"{REFUSED}{worker}", why)

    def refusals(self) -> list[str]:
        """Why workers refused."""
        return [read_text(path) for path in sorted(self.folder.glob(f"{REFUSED}*"))]

    def clear(self) -> None:
        """Forget everything: all is trained."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, run: str) -> Path:
        return self.folder / CLAIMS / f"{quote(run, safe=' ')}.json"

    def _written(self, claim: Claim) -> Path:
        """A claim in a file of its own that no one reads yet; flushed to nobody's disk, as it is no evidence."""
        path = self._path(claim.run)
        temporary = path.with_name(f".{path.name}.{claim.worker}")
        try:
            temporary.write_text(json.dumps(asdict(replace(claim, told_s=time.time()))), encoding="utf-8")
        except OSError as error:
            raise Refused(
                f"{path} cannot be written: {error.strerror}; what was measured before is kept: "
                "make room, then run the same command again"
            ) from error
        return temporary


def _read(path: Path) -> Claim | None:
    """A claim, if it is still there and in a form that this version writes."""
    try:
        return Claim(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
