"""Weights & Biases exports in csv, as its pages save them: charts, and the table of runs.

A chart is by step: `"Step","<run> - <metric>","<run> - <metric>__MIN","<run> - <metric>__MAX",...`, of the runs that it
shows. The table of runs has a row each: `"Name","State",...`, columns of the configuration, and the last values logged.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mixlaw.errors import Refused
from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Reading, unique_names
from mixlaw.importers.choices import listed
from mixlaw.importers.frames import read_frame
from mixlaw.importers.nested import flatten
from mixlaw.wording import counted, logged_again

NAME, STATE = "Name", "State"
IDENTIFIERS = ("ID", "Created")
STATES = ("finished", "crashed", "failed", "killed", "running", "pending", "preempting", "preempted")
FINISHED = "finished"
BETWEEN, LEAST, MOST = " - ", "__MIN", "__MAX"
STEPS = ("Step", "_step")

Curves = dict[str, dict[tuple[str, float], dict[str, Any]]]
"""What charts hold: run -> (name of the horizontal axis, place on it) -> point."""


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """Charts and tables of runs, in any order; a run of a chart has the state and the settings of its row in a table.

    Without charts the row is the one point of its run. With them it is not, as nobody says at which step its values
    were logged.
    """
    files, others = _files([Path(source) for source in sources])
    charts = [file for file in files if _is_chart(file)]
    rows: dict[str, Mapping[str, Any]] = {}
    for file in files:
        if file not in charts:
            rows |= _table(file)
    curves: Curves = {}
    notes = [f"no export of W&B, left out: {listed(others)}"] if others else []
    for file in charts:
        notes += _add_chart(curves, file, tuple(rows))
    runs = [
        _run(name, rows.get(name, {}), list(curves.get(name, {}).values()), alone=not charts)
        for name in (*rows, *(name for name in curves if name not in rows))
    ]
    return Log(listed(sources, 2), tuple(runs), notes=(*notes, *_about(rows, curves, charts)))


def _files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The exports among the paths and in the folders, and other csv files in the folders by name."""
    inside = [file for path in paths if path.is_dir() for file in sorted(path.glob("*.csv"))]
    named = [path for path in paths if not path.is_dir()]
    exports = [file for file in inside if _is_export(file)]
    return list(dict.fromkeys([*named, *exports])), [file.name for file in inside if file not in exports]


def _run(name: str, row: Mapping[str, Any], points: list[dict[str, Any]], *, alone: bool) -> LoggedRun:
    settings = {key: value for key, value in row.items() if key not in (NAME, STATE)}
    state = str(row.get(STATE, FINISHED))
    last = {STEP if key in STEPS else key: value for key, value in settings.items()}
    return LoggedRun(name, (last,) if alone else tuple(points), settings, "" if state == FINISHED else state)


def _table(file: Path) -> dict[str, Mapping[str, Any]]:
    """The row of every run, by a name of its own."""
    frame = read_frame(file, (NAME, STATE, *IDENTIFIERS))
    key = next((name for name in IDENTIFIERS if name in frame), None)
    rows = [{str(name): value for name, value in row.items() if value == value} for row in frame.to_dict("records")]
    names = unique_names((str(row.get(NAME, "")), str(row.get(key or "", ""))) for row in rows)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Refused(
            f"{file}: several runs are called '{rows[names.index(twice)].get(NAME)}'; export the column ID too"
        )
    return {
        name: flatten({**row, NAME: ""}) | {STATE: str(row.get(STATE, ""))}
        for name, row in zip(names, rows, strict=True)
    }


def _add_chart(curves: Curves, file: Path, known: Sequence[str]) -> list[str]:
    """Add a chart's points; notes say what in it is not as it was logged."""
    frame = read_frame(file)
    axis, *columns = map(str, frame.columns)
    means = again = 0
    for column in columns:
        if column.endswith((LEAST, MOST)):
            continue
        run, metric = _split(column, file, known)
        values = frame[column]
        means += _means(frame, column)
        for place, value in zip(frame[axis], values, strict=True):
            if place != place or value != value:
                continue
            point = curves.setdefault(run, {}).setdefault((axis, place), {_named(axis): place})
            again += point.get(_named(metric), value) != value
            point[_named(metric)] = value
    notes = [f"{file.name}: {logged_again(again)}"] if again else []
    if means:
        notes.append(
            f"{file.name}: {counted(means, 'value')} of several logged points or runs, which W&B has averaged; "
            "import the runs themselves (a folder, or wandb://entity/project) for what was logged"
        )
    return notes


def _named(name: str) -> str:
    return STEP if name in STEPS else name


def _split(column: str, file: Path, known: Sequence[str]) -> tuple[str, str]:
    """Run and metric of a column: a run that is known, or else all before the last ` - `."""
    for run in sorted(known, key=len, reverse=True):
        if column.startswith(run + BETWEEN):
            return run, column[len(run + BETWEEN) :]
    run, between, metric = column.rpartition(BETWEEN)
    if not between:
        raise Refused(f"{file}: column '{column}' names no run; W&B calls it 'RUN - {column}': rename it so")
    return run, metric


def _means(frame: pd.DataFrame, column: str) -> int:
    """Values that are not the only one of their place."""
    if column + LEAST not in frame or column + MOST not in frame:
        return 0
    least, most = (pd.to_numeric(frame[column + end], errors="coerce") for end in (LEAST, MOST))
    return int((least < most).sum())


def _about(rows: Mapping[str, Any], curves: Curves, charts: Sequence[Path]) -> list[str]:
    if not charts:
        return ["the last values of each run, one row a run; a chart's export has more of its steps"]
    if not rows:
        return ["a chart does not say which runs crashed; add the export of the table of runs, with its column State"]
    unseen = [name for name in rows if name not in curves]
    unknown = [name for name in curves if name not in rows]
    notes = [f"in no chart, which hold the runs that they show: {listed(unseen)}"] if unseen else []
    return notes + ([f"in no table of runs: {listed(unknown)}"] if unknown else [])


def _header(file: Path) -> list[str]:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        return next(csv.reader(text), [])


def _is_chart(file: Path) -> bool:
    names = _header(file)
    return any(name + LEAST in names and name + MOST in names for name in names[1:])


def _is_table(file: Path) -> bool:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        rows = csv.DictReader(text)
        names = rows.fieldnames or ()
        return NAME in names and STATE in names and all(row[STATE] in STATES for row in rows)


def _is_export(file: Path) -> bool:
    try:
        return file.is_file() and file.suffix.lower() == ".csv" and (_is_chart(file) or _is_table(file))
    except (csv.Error, OSError):
        return False


def _recognises(path: Path) -> bool:
    return any(_is_export(file) for file in path.glob("*.csv")) if path.is_dir() else _is_export(path)


IMPORTER = Importer(
    name="wandb-csv",
    description="Weights & Biases exports in csv (of charts, and of the table of runs; files or their folder)",
    recognises=_recognises,
    read=read,
)
