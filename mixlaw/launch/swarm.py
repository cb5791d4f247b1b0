"""From a plan to measured runs: what is missing is trained, what is there is kept.

A run is done when all its rows are in the records (and its model is there, if it is a full run), never because a
process says so; `mixlaw.study_files` says where each lies. Runs are the same bits on the CPU of the same machine,
however often a training was killed on the way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused
from mixlaw.files import sha256
from mixlaw.launch.engines import engine_of
from mixlaw.launch.history import read_history
from mixlaw.launch.job import numbers
from mixlaw.launch.lock import locked
from mixlaw.launch.packing import compute_of_workers, cores, default_workers, threads_of
from mixlaw.launch.progress import Tally, Watch
from mixlaw.launch.queue import Queue, Waiting
from mixlaw.launch.roster import full_runs, proxies
from mixlaw.launch.standing import Standing, standing
from mixlaw.launch.supervise import Supervisor
from mixlaw.mixture import Mixture, write_mixtures
from mixlaw.plan import Plan
from mixlaw.runs import RunTable, check_runs, write_runs
from mixlaw.study_files import FULL_RUNS, MIXTURES, RECORDS, RUNS
from mixlaw.train.members import Member, Setting, setting_of
from mixlaw.train.processes import together


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
        Refused: for a plan that no longer describes runs already measured, a `mixtures.csv` of other mixtures, another
            training in the same folder, or no run that succeeded.
    """
    members = proxies(plan, mixtures)
    train_members(plan, members, folder, watch, workers)
    write_mixtures(folder / MIXTURES, mixtures)
    return _written(members, folder / RUNS)


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
        The run table of all full runs in the folder, `group` naming the mixture of each; its notes name the failed.

    Raises:
        Refused: as `train_swarm`.
    """
    members = full_runs(plan, mixtures, range(plan.target.seeds) if seeds is None else seeds)
    train_members(plan, members, folder, watch, workers)
    return full_table(folder)


def full_table(folder: Path) -> RunTable:
    """Rebuild `full_runs.csv` of a study from its records: all full runs there are, by name."""
    trained = [begun.member for begun in read_history(folder / RECORDS).begun.values()]
    every = sorted((member for member in trained if member.full), key=lambda member: member.run)
    return _written(every, folder / FULL_RUNS)


def train_members(
    plan: Plan, members: Sequence[Member], folder: Path, watch: Watch | None, workers: int | None
) -> None:
    """Train what is missing of some members, all proxies or all full runs; arguments as in `train_full`."""
    corpus = open_corpus(plan.path(plan.corpus.path))
    setting, compute = setting_of(plan, corpus), compute_of_workers(plan)
    shared = numbers(setting, compute)
    with locked(folder / RECORDS):
        now = standing(members, setting, folder)
        now.check_unchanged(shared)
        if not members[0].full:
            now.check_nothing_dropped()
            now.check_mixtures_file(folder / MIXTURES)
        left = now.left
        tally = Tally(members, setting, corpus.vocabulary_size, watch)
        tally.failed |= set(now.failed) - {member.run for member in left}
        tally.done |= now.done
        tally.tell(now=True)
        if left:
            now.check_arithmetic(shared["arithmetic"])
            _supervise(plan, now, left, shared, tally, workers)


def _supervise(
    plan: Plan, now: Standing, left: Sequence[Member], shared: Mapping[str, Any], tally: Tally, workers: int | None
) -> None:
    """Have what is left trained, the longest runs first so that no worker is left with a long one at the end."""
    launch, begun = plan.launch, now.history.begun
    launch = launch if workers is None else launch.model_copy(update={"workers": workers})
    queue, here = Queue(now.folder.resolve() / RECORDS), launch.engine == "local"
    count = min(launch.workers or default_workers(plan.training), len(left)) if here else 0
    cpus = max(1, cores() // count) if here else launch.cpus
    threads = {member.run: threads_of(member, begun.values(), cpus) for member in left}
    alone = shared["device"] == "cpu" or together().count > 1  # a crash on a GPU can spoil it for the whole process
    engine = engine_of(launch, queue, count, max(threads.values()), in_process=alone)
    packs: dict[str, int] = {}
    for was in begun.values():
        packs[was.member.size] = max(packs.get(was.member.size, 1), len(was.pack))
    waiting = Waiting(
        setting=now.setting if here else _told_device(now.setting, shared["device"]),
        numbers=shared,
        members=sorted(left, key=lambda member: -member.total_tokens(plan.training) * member.shape.params),
        threads=threads,
        packs=packs,
        workers=engine.workers,
        checkpoints=launch.checkpoints,
    )
    Supervisor(queue, engine, now, tally).run(waiting)


def _told_device(setting: Setting, device: str) -> Setting:
    """A setting that lets no worker choose another device than was planned."""
    return replace(setting, training=setting.training.model_copy(update={"device": device}))


def _written(members: Iterable[Member], path: Path) -> RunTable:
    """Rebuild a run table from the records, in the order of the members, and write it; failed runs are only named."""
    recorded = read_history(path.parent / RECORDS).recorded
    rows, notes = [], [*recorded.notes]
    for member in members:
        if member.run in recorded.failed:
            notes.append(f"run '{member.run}' failed: {recorded.failed[member.run]['reason']}")
        else:
            rows += [row for _, row in sorted(recorded.rows.get(member.run, {}).items())]
    if not rows:
        raise Refused(f"{path.parent / RECORDS} holds no run that succeeded; {'; '.join(notes[:3])}")
    table = check_runs(pd.DataFrame(rows), source=str(path))
    write_runs(table, path)
    return replace(table, sha256=sha256(path), notes=(*table.notes, *notes))
