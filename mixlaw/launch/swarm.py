"""From a plan to measured runs: what is missing is trained, what is there is kept.

A study's folder holds, beside its `plan.toml`:

    mixtures.csv               the mixtures of the swarm, by name
    runs.csv                   the run table of the proxies, rebuilt from the records
    full_runs.csv              the run table of the full runs, likewise
    runs/records-<n>.jsonl     what writer n measured, one checksummed record a line; the truth that runs.csv follows
    runs/worker-<n>.log        what worker n said on stderr, where there are several
    runs/lock                  who is training here now
    checkpoints/<run>.safetensors   the state of a full run under way; deleted at its end
    models/<run>/              the model of a full run, as `transformers` loads it

A run is done when all its rows are in the records (and its model is there, if it is a full run), never because a
process says so. Runs are the same bits on the CPU of the same machine, however often a training was killed on the way.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused
from mixlaw.files import sha256
from mixlaw.launch.job import Job, models_folder
from mixlaw.launch.local import run_jobs
from mixlaw.launch.lock import locked
from mixlaw.launch.progress import Tally, Watch
from mixlaw.mixture import Mixture, write_mixtures
from mixlaw.plan import Plan
from mixlaw.runs import RunTable, check_runs, write_runs
from mixlaw.train.members import Member, Setting, setting_of
from mixlaw.train.records import Recorded, Writer, read_records

RECORDS, TABLE, FULL_TABLE, MIXTURES = "runs", "runs.csv", "full_runs.csv", "mixtures.csv"


def proxies(plan: Plan, mixtures: Mapping[str, Mixture]) -> list[Member]:
    """The members of a plan's swarm: every mixture at every size, and the repeats.

    Repeats are further seeds of the mixture called "natural", or of the first where none is called so. Every member
    has a seed of its own, drawn from the plan's and the run's name: noise that runs shared would look like a property
    of the size, and adding a run changes no other.
    """
    repeated = "natural" if "natural" in mixtures else next(iter(mixtures))
    runs = {name: name for name in mixtures}
    runs |= {f"{repeated}-repeat{number}": repeated for number in range(1, plan.design.repeats + 1)}
    return [
        Member(f"{run}-{size}", name, mixtures[name], size, plan.proxies.tokens, _seed(plan.seed, f"{run}-{size}"))
        for size in plan.proxies.sizes
        for run, name in runs.items()
    ]


def full_runs(plan: Plan, mixtures: Mapping[str, Mixture], seeds: Sequence[int]) -> list[Member]:
    """The members that train mixtures at the plan's target: proxies with other numbers, read at their token counts too.

    Seeds are as given, so that mixtures can be compared seed by seed.
    """
    size, end = plan.target.size, plan.target.tokens
    tokens = (*(count for count in plan.proxies.tokens if count < end), end)
    return [
        Member(f"{name}-{size}-seed{seed}", name, mixture, size, tokens, seed, full=True)
        for name, mixture in mixtures.items()
        for seed in seeds
    ]


def train_swarm(
    plan: Plan,
    mixtures: Mapping[str, Mixture],
    folder: Path,
    watch: Watch | None = None,
    *,
    workers: int | None = None,
) -> RunTable:
    """Train what is missing of a plan's swarm and write `mixtures.csv` and `runs.csv`.

    Args:
        plan: the science.
        mixtures: by name.
        folder: of the study.
        watch: called now and then with how far it is.
        workers: trained at a time; None for one a core, or one a GPU.

    Returns:
        The run table of all runs that did not fail; its notes name those that did.

    Raises:
        Refused: for a plan that no longer describes runs already measured, another training in the same folder, or
            no run that succeeded.
    """
    members = proxies(plan, mixtures)
    _train(plan, members, folder, watch, workers)
    write_mixtures(folder / MIXTURES, mixtures)
    return _written(members, folder, TABLE)


def train_full(
    plan: Plan,
    mixtures: Mapping[str, Mixture],
    folder: Path,
    watch: Watch | None = None,
    *,
    seeds: Sequence[int] | None = None,
    workers: int | None = None,
) -> RunTable:
    """Train mixtures at the plan's target, keep their models, and write `full_runs.csv` with all full runs there are.

    Args:
        plan: the science.
        mixtures: by name.
        folder: of the study.
        watch: called now and then with how far it is.
        seeds: of each mixture's runs; None for as many as the plan's target has.
        workers: trained at a time; None for one a core, or one a GPU.

    Returns:
        The run table of these runs; `group` is the mixture's name.

    Raises:
        Refused: as `train_swarm`.
    """
    members = full_runs(plan, mixtures, range(plan.target.seeds) if seeds is None else seeds)
    _train(plan, members, folder, watch, workers)
    return _written(members, folder, FULL_TABLE)


def _train(plan: Plan, members: Sequence[Member], folder: Path, watch: Watch | None, workers: int | None) -> None:
    corpus = open_corpus(plan.path(plan.corpus.path))
    setting = setting_of(plan, corpus)
    runs = folder / RECORDS
    with locked(runs):
        recorded = read_records(runs)
        jobs, count = _jobs(members, setting, folder, recorded, workers)
        for job in jobs:
            _same_as_before(job, recorded)
        left = [job for job in jobs if not all(_over(member, setting, folder, recorded) for member in job.members)]
        tally = Tally(members, setting, corpus.vocabulary_size, watch)
        tally.failed |= {member.run for member in members if _failed(member, recorded)}
        tally.done |= {member.run for member in members if _done(member, setting, folder, recorded)}
        tally.tell(now=True)
        if left:
            _run(left, runs, tally, count)


def _run(jobs: Sequence[Job], runs: Path, tally: Tally, workers: int) -> None:
    """Train jobs, the longest first so that no worker is left with a long one at the end."""

    def finished(job: Job) -> None:
        failed = set(read_records(runs).failed)
        tally.failed |= {member.run for member in job.members} & failed
        tally.done |= {member.run for member in job.members} - failed
        tally.tell(now=True)

    def crashed(job: Job, why: str) -> None:
        writer = Writer(runs / "records-0.jsonl")
        for member in job.members:
            writer.failed(member.run, why, final=False)
        writer.close()
        tally.failed |= {member.run for member in job.members}
        tally.tell(now=True)

    jobs = sorted(jobs, key=lambda job: -job.flops)
    run_jobs(jobs, runs, tally, workers=workers, crashed=crashed, finished=finished)


def _jobs(
    members: Sequence[Member], setting: Setting, folder: Path, recorded: Recorded, workers: int | None
) -> tuple[list[Job], int]:
    """Packs of the members, and how many to train at a time.

    On a CPU a pack is one member and a core is one worker with one thread: a thread more changes the bits of a run, and
    two runs on two cores end sooner than one run on both (`make bench-swarm`).
    """
    known = [recorded.members[member.run] for member in members if member.run in recorded.members]
    gpus = torch.cuda.device_count() if setting.training.device != "cpu" else 0
    cores = len(os.sched_getaffinity(0))
    workers = workers or gpus or cores
    threads = known[0]["threads"] if known else 1
    return [Job(folder, setting, (member,), threads) for member in members], workers


def _same_as_before(job: Job, recorded: Recorded) -> None:
    """Refuse a run that is on record with other numbers than the plan now gives it."""
    for member in job.members:
        before, now = recorded.members.get(member.run), job.specification(member)
        if before is not None and before != now:
            listed = "; ".join(_differences(before, now)[:4])
            raise Refused(
                f"{job.folder / RECORDS}: run '{member.run}' was trained with other numbers: {listed}; "
                "go back to those, or train the changed plan in another folder"
            )


def _differences(before: Any, now: Any, place: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in sorted({*before, *now}):
            found += _differences(before.get(key), now.get(key), f"{place}.{key}" if place else str(key))
        return found
    return [] if before == now else [f"{place} was {before}, is {now}"]


def _failed(member: Member, recorded: Recorded) -> bool:
    """Whether training it again would fail again."""
    return bool(recorded.failed.get(member.run, {}).get("final", False))


def _done(member: Member, setting: Setting, folder: Path, recorded: Recorded) -> bool:
    wanted = {step * setting.training.batch_tokens for step in member.steps(setting.training)}
    there = wanted <= set(recorded.rows.get(member.run, {})) and member.run not in recorded.failed
    return there and (not member.full or (models_folder(folder) / member.run).is_dir())


def _over(member: Member, setting: Setting, folder: Path, recorded: Recorded) -> bool:
    return _failed(member, recorded) or _done(member, setting, folder, recorded)


def _written(members: Sequence[Member], folder: Path, name: str) -> RunTable:
    """Rebuild a run table from the records and write it."""
    recorded = read_records(folder / RECORDS)
    failed = {run: str(entry["reason"]) for run, entry in recorded.failed.items()}
    rows = [
        row
        for member in members
        if member.run not in failed
        for _, row in sorted(recorded.rows.get(member.run, {}).items())
    ]
    notes = [f"run '{member.run}' failed: {failed[member.run]}" for member in members if member.run in failed]
    if not rows:
        raise Refused(f"{folder / RECORDS} holds no run that succeeded; {'; '.join(notes[:3])}")
    path = folder / name
    table = check_runs(pd.DataFrame(rows), source=str(path))
    write_runs(table, path)
    return replace(table, sha256=sha256(path), notes=(*table.notes, *recorded.notes, *notes))


def _seed(seed: int, run: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {run}".encode()).digest()[:4]) >> 1
