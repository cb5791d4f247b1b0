"""One job: a pack trained from start to end by one process, which writes what it measures itself."""

import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused
from mixlaw.study_files import CHECKPOINTS, MODELS
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.device import Compute, compute_of
from mixlaw.train.loop import ARITHMETIC, PackRun, Reports
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import Buffers, of_member
from mixlaw.train.pretrained import save_llama
from mixlaw.train.processes import Processes, together
from mixlaw.train.readings import Row
from mixlaw.train.records import Writer


def models_folder(folder: Path) -> Path:
    """Where a study keeps the models of its full runs, one folder a run."""
    return folder / MODELS


def numbers(setting: Setting, compute: Compute | None = None) -> dict[str, Any]:
    """Everything about a study that determines the losses of its runs, but for the threads of a CPU; nothing else.

    Args:
        setting: of the study.
        compute: where its runs are trained; None for here.
    """
    compute = compute or compute_of(setting.training)
    shared = setting.as_json()
    del shared["corpus"], shared["initial"]
    apart = ("device", "precision", "compile", "shard", "initial")  # known by what they come to, if to anything
    shared["training"] = {key: value for key, value in shared["training"].items() if key not in apart}
    compiled = {"compiled": True} if compute.compiled else {}  # absent from records of before steps could be
    return {**shared, "arithmetic": ARITHMETIC, "device": compute.device.type, "bfloat16": compute.bfloat16, **compiled}


@dataclass(frozen=True)
class Job:
    """A pack to train, and where what comes of it goes.

    Attributes:
        folder: of the study.
        setting: of the study.
        members: of one size, with the same token counts.
        threads: of the CPU; part of what determines the bits of a run.
        checkpoints: whether the state of proxies is saved now and then too, as that of full runs always is.
    """

    folder: Path
    setting: Setting
    members: tuple[Member, ...]
    threads: int
    checkpoints: bool = False

    @property
    def runs(self) -> list[str]:
        """Names of its runs."""
        return [member.run for member in self.members]

    @property
    def name(self) -> str:
        """Of its first run: unique in a study."""
        return self.members[0].run

    @property
    def saves_state(self) -> bool:
        """Whether it goes on where it was stopped, rather than from the beginning."""
        return self.checkpoints or self.members[0].full

    def as_json(self) -> dict[str, Any]:
        """The job as JSON, for a worker."""
        return {
            "folder": str(self.folder),
            "setting": self.setting.as_json(),
            "members": [member.as_json() for member in self.members],
            "threads": self.threads,
            "checkpoints": self.checkpoints,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Job":
        """Read `as_json`."""
        return cls(
            folder=Path(content["folder"]),
            setting=Setting.from_json(content["setting"]),
            members=tuple(Member.from_json(member) for member in content["members"]),
            threads=content["threads"],
            checkpoints=content["checkpoints"],
        )


@dataclass(frozen=True)
class _Told:
    """Reports of a pack, written to disk first."""

    writer: Writer
    progress: Callable[[int], None]

    def measured(self, row: Row) -> None:
        self.writer.row(row)

    def weights(self, row: Row) -> None:
        self.writer.weights(row)

    def failed(self, run: str, reason: str) -> None:
        self.writer.failed(run, reason, final=True)

    def trained(self, tokens: int) -> None:
        self.progress(tokens)


class _Silent:
    """Reports of a pack that the first process tells."""

    def measured(self, row: Row) -> None: ...

    def weights(self, row: Row) -> None: ...

    def failed(self, run: str, reason: str) -> None: ...

    def trained(self, tokens: int) -> None: ...


def do(job: Job, writer: Writer, progress: Callable[[int], None]) -> None:
    """Train a job's pack; its rows, failures and, for full runs, models are on disk when this returns.

    Where `torchrun` started several processes this is the first, and the others train with it (`follow`).

    Args:
        job: what to train.
        writer: of this process.
        progress: told of tokens trained on, every step.
    """
    processes = together()
    processes.told(job.as_json())
    shared = numbers(job.setting)
    entries = {member.run: {**shared, "member": member.as_json()} for member in job.members}
    for name, entry in entries.items():
        writer.member(name, {"numbers": entry, "threads": job.threads, "pack": job.runs})
    try:
        run, weights = _trained(job, _Told(writer, progress), processes)
    except Exception as error:
        if processes.count == 1:
            raise
        if isinstance(error, Refused):
            print(f"mixlaw train: {error}", file=sys.stderr, flush=True)
        else:
            traceback.print_exc()
        os._exit(1)  # the others wait for this process in the middle of a step; torchrun ends them when it is gone
    if job.members[0].full:
        _save_models(job, run, weights)
    if run.checkpoint is not None:
        run.checkpoint.forget()


def follow(processes: Processes) -> None:
    """Train with the first process whatever it trains, until it has no more; write nothing."""
    while (content := processes.told(None)) is not None:
        _trained(Job.from_json(content), _Silent(), processes)


def _trained(job: Job, reports: Reports, processes: Processes) -> tuple[PackRun, Buffers]:
    """Train a pack; return the weights that are read too, since processes that share them out all have to be asked."""
    shared = numbers(job.setting)
    key = {"runs": {member.run: {**shared, "member": member.as_json()} for member in job.members}}
    path = job.folder / CHECKPOINTS / f"{job.name}.safetensors"
    before = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        run = PackRun(
            job.members,
            job.setting,
            open_corpus(job.setting.corpus),
            compute_of(job.setting.training),
            reports,
            Checkpoint(path, {**key, "threads": job.threads}) if job.saves_state else None,
            branch=branch_of(job, shared),
            reference=reference_of(job),
            processes=processes,
        )
        run.train()
        return run, run.read.buffers
    finally:
        torch.set_num_threads(before)


def branch_of(job: Job, shared: Mapping[str, Any]) -> Checkpoint | None:
    """Where the state is kept at which the job's first stage begins; None if it has no stage.

    Runs that are the same until then share it, in `checkpoints/base-<hash>.safetensors`: the first trains the base, the
    others go on from its end. It stays when they are done, for further ones.
    """
    first = job.members[0]
    switches = first.switches(job.setting.training)
    if not switches:
        return None
    base = {key: value for key, value in first.as_json().items() if key not in ("run", "group", "stages")}
    key = {**shared, "member": base, "step": min(switches), "threads": job.threads}
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return Checkpoint(job.folder / CHECKPOINTS / f"base-{name}.safetensors", key)


def reference_of(job: Job) -> Path | None:
    """The folder of the model that the job's losses are held against, if any."""
    reference = job.members[0].reference
    return None if reference is None else models_folder(job.folder) / reference


def _save_models(job: Job, run: PackRun, buffers: Buffers) -> None:
    for index, member in enumerate(job.members):
        if run.alive[index]:
            place, weights = models_folder(job.folder) / member.run, of_member(run.layout, buffers, index)
            save_llama(place, run.layout, weights, run.corpus, job.setting.training.sequence_length)
