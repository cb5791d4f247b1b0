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
process says so. Runs are the same bits on the CPU of the same machine, however
often a training was killed on the way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused
from mixlaw.files import sha256
from mixlaw.launch.job import RECORDS, Job
from mixlaw.launch.local import run_jobs
from mixlaw.launch.lock import locked
from mixlaw.launch.packing import cores, default_workers, pack_size
from mixlaw.launch.progress import Tally, Watch
from mixlaw.launch.roster import full_runs, proxies
from mixlaw.launch.standing import Standing, standing
from mixlaw.mixture import Mixture, write_mixtures
from mixlaw.plan import Plan
from mixlaw.runs import RunTable, check_runs, write_runs
from mixlaw.train.members import Member, setting_of
from mixlaw.train.records import Writer, read_records

SHARED_PARAMS = 2_000_000
"""Below this size a step is too short for threads to share: on a busy machine they wait for each other for longer."""

TABLE, FULL_TABLE, MIXTURES = "runs.csv", "full_runs.csv", "mixtures.csv"


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
    return _written(members, folder / TABLE)


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
    _train(plan, members, folder, watch, workers)
    entries = read_records(folder / RECORDS).members.values()
    trained = [Member.from_json(entry["numbers"]["member"]) for entry in entries]
    every = sorted((member for member in trained if member.full), key=lambda member: member.run)
    return _written(every, folder / FULL_TABLE)


def _train(plan: Plan, members: Sequence[Member], folder: Path, watch: Watch | None, workers: int | None) -> None:
    corpus = open_corpus(plan.path(plan.corpus.path))
    setting = setting_of(plan, corpus)
    with locked(folder / RECORDS):
        now = standing(members, setting, folder)
        now.check_unchanged()
        if not members[0].full:
            now.check_nothing_dropped()
        tally = Tally(members, setting, corpus.vocabulary_size, watch)
        left = {member.run for member in now.left}
        tally.failed |= set(now.failed) - left
        tally.done |= now.done
        tally.tell(now=True)
        if left:
            count = workers or default_workers(setting)
            jobs = [job for job in _jobs(now, corpus.vocabulary_size, count) if left & set(job.runs)]
            _run(jobs, folder / RECORDS, tally, count)


def _jobs(now: Standing, vocabulary: int, workers: int) -> list[Job]:
    """Packs of all members, done or not, so that what is in a pack does not depend on what was done before."""
    jobs = []
    for size in dict.fromkeys(member.size for member in now.members):
        members = [member for member in now.members if member.size == size]
        known = [now.recorded.members[member.run] for member in members if member.run in now.recorded.members]
        count = max(len(entry["pack"]) for entry in known) if known else pack_size(members, now.setting, vocabulary)
        for start in range(0, len(members), count):
            pack = tuple(members[start : start + count])
            jobs.append(Job(now.folder, now.setting, pack, _threads(pack, now, workers)))
    return jobs


def _threads(pack: Sequence[Member], now: Standing, workers: int) -> int:
    """As before for a run that was begun; else one, or a share of the cores for large runs too few to fill them."""
    begun = [now.recorded.members[member.run]["threads"] for member in pack if member.run in now.recorded.members]
    if begun:
        return int(begun[0])
    if pack[0].shape.params < SHARED_PARAMS:
        return 1
    return max(1, cores() // min(workers, len(now.members)))


def _run(jobs: Iterable[Job], runs: Path, tally: Tally, workers: int) -> None:
    """Train jobs, the longest first so that no worker is left with a long one at the end."""

    def finished(job: Job) -> None:
        failed = set(read_records(runs).failed)
        tally.failed |= set(job.runs) & failed
        tally.done |= set(job.runs) - failed
        tally.tell(now=True)

    def crashed(job: Job, why: str) -> None:
        writer = Writer(runs / "records-0.jsonl")
        for run in job.runs:
            writer.failed(run, why, final=False)
        writer.close()
        tally.failed |= set(job.runs)
        tally.tell(now=True)

    ordered = sorted(jobs, key=lambda job: -job.work)
    run_jobs(ordered, runs, tally, workers=workers, crashed=crashed, finished=finished)


def _written(members: Iterable[Member], path: Path) -> RunTable:
    """Rebuild a run table from the records, in the order of the members, and write it; failed runs are only named."""
    recorded = read_records(path.parent / RECORDS)
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
