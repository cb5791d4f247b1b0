"""MLflow's sqlite store, read with sqlite itself: the whole curve of every metric, not its last value."""

import math
import sqlite3
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Reading, merge_steps, unique_names
from mixlaw.importers.mlflow_names import EXPERIMENT, about_experiments, own_tag
from mixlaw.importers.nested import as_settings
from mixlaw.wording import logged_again

MAGIC = b"SQLite format 3\x00"
UNFINISHED = {"RUNNING": "running", "SCHEDULED": "not started", "FAILED": "failed", "KILLED": "killed"}


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """All runs of all experiments that have not been deleted."""
    runs: list[LoggedRun] = []
    notes: list[str] = []
    for source in sources:
        try:
            with closing(sqlite3.connect(f"{Path(source).resolve().as_uri()}?mode=ro", uri=True)) as store:
                found, said = _runs(store)
        except sqlite3.Error as error:
            raise Refused(f"{source} cannot be read as an MLflow store: {error}; pass the sqlite file") from None
        runs, notes = runs + found, notes + said
    return Log(", ".join(sources), tuple(runs), notes=(*about_experiments(runs), *notes))


def _runs(store: sqlite3.Connection) -> tuple[list[LoggedRun], list[str]]:
    listed = store.execute(
        "select run_uuid, coalesce(runs.name, ''), status, coalesce(experiments.name, '') "
        "from runs left join experiments using (experiment_id) "
        "where runs.lifecycle_stage = 'active' order by run_uuid"
    ).fetchall()
    settings: dict[str, dict[str, Any]] = defaultdict(dict)
    for run, key, value in store.execute("select run_uuid, key, value from tags order by run_uuid, key"):
        settings[run] |= own_tag(key, value)
    for run, key, value in store.execute("select run_uuid, key, value from params order by run_uuid, key"):
        settings[run][key] = value
    points: dict[str, list[dict[str, Any]]] = defaultdict(list)
    metrics = "select run_uuid, key, step, value, is_nan from metrics order by run_uuid, timestamp, step, key"
    for run, key, step, value, is_nan in store.execute(metrics):
        points[run].append({STEP: step, key: _value(value, is_nan)})
    names = unique_names((name or run, run) for run, name, *_ in listed)
    runs, notes = [], []
    for name, (run, _, status, experiment) in zip(names, listed, strict=True):
        merged, replaced = merge_steps(points[run])
        if replaced:
            notes.append(f"{name}: {logged_again(replaced)}")
        held = as_settings(settings[run]) | {EXPERIMENT: experiment}
        runs.append(LoggedRun(name, merged, held, UNFINISHED.get(status, "")))
    return runs, notes


def _value(value: float, is_nan: int) -> float:
    """A metric as it was logged: the store keeps NaN apart and an infinite value as the largest finite one."""
    if is_nan:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value


def _recognises(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


IMPORTER = Importer(
    name="mlflow",
    description="MLflow's sqlite store (mlflow.db)",
    recognises=_recognises,
    read=read,
)
