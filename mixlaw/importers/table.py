"""Tables of one's own: csv, jsonl or parquet, wide (one column a metric) or long (one row a metric)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixlaw.csv_files import about_semicolons
from mixlaw.errors import Refused, one_of
from mixlaw.importers.base import Importer, Log, LoggedRun, Reading, folder_names
from mixlaw.importers.frames import COMPRESSED, SUFFIXES, kind_of, read_frame
from mixlaw.importers.nested import flatten

FILE = "{file}"
"""What `--map run=` says where each table is of one run, which is called after it."""

RUN_NAMES = ("run_name", "run name", "tags.mlflow.runname", "run_id", "name", "model name", "experiment", "model", "id")
"""Names, in small letters, under which tables of others hold what we call `run`."""

STATE_NAMES = ("state", "status")
ENDED_WELL = ("finished", "completed")
ENDED_OTHERWISE = ("crashed", "failed", "killed", "running", "scheduled", "pending", "preempting", "preempted")


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """Rows of all tables, by run; a long table is turned wide first."""
    runs: dict[str, list[dict[str, Any]]] = {}
    files = list(dict.fromkeys(sources))
    names = dict(zip(files, folder_names([_bare(Path(file)) for file in files], ()), strict=True))
    for source in files:
        frame = read_frame(Path(source), (reading.run_column,))
        if not len(frame):
            raise Refused(f"{source} has no rows")
        if reading.run_column == FILE:
            frame = frame.assign(**{FILE: names[source]})
        if reading.run_column not in frame:
            raise Refused(
                f"{source} has no column '{reading.run_column}' (found: {', '.join(map(str, frame.columns[:12]))}); "
                f"say which column names the run: --map run={_likely_run(frame)}, or --map 'run={FILE}' where each "
                "file is one"
            )
        if reading.long:
            frame = widen(frame, reading.long, source)
        for row in frame.to_dict("records"):
            filled = {str(name): value for name, value in row.items() if not _blank(value)}
            if reading.run_column not in filled:
                raise Refused(f"{source}: a row has no {reading.run_column}; name the run in every row")
            named = {reading.run_column: filled.pop(reading.run_column)}
            runs.setdefault(_name(named[reading.run_column]), []).append(named | flatten(_lists(filled)))
    found = tuple(LoggedRun(name, tuple(points), {}, _unfinished(points)) for name, points in runs.items())
    kept = {name for points in runs.values() for point in points for name in point} & {"group", "kind"}
    notes = [said for file in files for said in about_semicolons(Path(file))]
    return Log(", ".join(sources), found, tuple(f"{name}={name}" for name in sorted(kept)), tuple(notes))


def widen(frame: pd.DataFrame, long: tuple[str, str], source: str) -> pd.DataFrame:
    """One row for each combination of all other columns, one column for each name in the column of names.

    Raises:
        Refused: for a column that is not there, or a name with two different values in one such row.
    """
    names, values = (one_of(column, [str(each) for each in frame.columns], "column") for column in long)
    index = [column for column in frame.columns if column not in (names, values)]
    frame = frame.drop_duplicates()
    twice = frame.duplicated([*index, names])
    if twice.any():
        row = frame[twice].iloc[0]
        where = ", ".join(f"{column} {row[column]}" for column in index)
        raise Refused(f"{source}: '{row[names]}' has two values at {where}; keep one")
    wide = frame.set_index([*index, names])[values].unstack(names)
    return wide.reset_index().rename(columns=str)


def _unfinished(points: Sequence[Mapping[str, Any]]) -> str:
    """What a column of states, of no other words than those of run trackers, says of a run that did not end well."""
    for name in points[-1]:
        states = [str(point.get(name, "")).lower() for point in points]
        if name.lower() in STATE_NAMES and all(state in (*ENDED_WELL, *ENDED_OTHERWISE) for state in states):
            return "" if states[-1] in ENDED_WELL else states[-1]
    return ""


def _likely_run(frame: pd.DataFrame) -> str:
    """A column that by its name may name the run; a word for one where none does."""
    names = {str(name).lower(): str(name) for name in frame.columns}
    return next((names[name] for name in RUN_NAMES if name in names), "COLUMN")


def _bare(path: Path) -> Path:
    """A file's path without what says its kind."""
    return (path.with_suffix("") if path.suffix.lower() == COMPRESSED else path).with_suffix("")


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _lists(row: dict[str, Any]) -> dict[str, Any]:
    """Parquet's lists come as arrays."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


def _name(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


IMPORTER = Importer(
    name="table",
    description="a table of one's own (.csv, .tsv, .jsonl, .parquet; .gz too), wide or long",
    recognises=lambda path: path.is_file() and kind_of(path) in SUFFIXES,
    read=read,
)
