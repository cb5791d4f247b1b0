"""Two tables, one of mixtures and one of losses, joined by the run's identifier and never by position."""

from pathlib import Path
from typing import Any

import pandas as pd

from mixlaw.errors import Refused
from mixlaw.importers.base import LoggedRun
from mixlaw.importers.frames import read_frame
from mixlaw.wording import counted


def join(mixtures: Path, losses: Path, keys: tuple[str, ...]) -> tuple[tuple[LoggedRun, ...], tuple[str, ...]]:
    """Runs that both tables know, and notes on those that only one knows.

    Args:
        mixtures: its columns besides keys and labels become settings called `mix.<column>`.
        losses: its columns besides keys and labels become the one point of the run.
        keys: names that the column of identifiers may have; the first that both tables have is taken.

    Raises:
        Refused: if they share no such column, an identifier stands twice, or no run is in both.
    """
    left, right = read_frame(mixtures), read_frame(losses)
    key = next((key for key in keys if key in left and key in right), None)
    if key is None:
        raise Refused(
            f"{mixtures} and {losses} share no column {' or '.join(keys)}; runs are joined by it, never by position"
        )
    rows = {file: _by_key(frame, key, file) for file, frame in ((mixtures, left), (losses, right))}
    shared = [run for run in rows[mixtures] if run in rows[losses]]
    if not shared:
        raise Refused(f"no '{key}' is in both {mixtures} and {losses}; check that they belong together")
    notes = [
        f"{counted(len(alone), 'run')} in {file.name} alone left out: "
        f"{', '.join(alone[:8])}{', ...' * (len(alone) > 8)}"
        for file in rows
        if (alone := [run for run in rows[file] if run not in shared])
    ]
    runs = tuple(
        LoggedRun(run, (rows[losses][run],), {f"mix.{name}": value for name, value in rows[mixtures][run].items()})
        for run in shared
    )
    return runs, tuple(notes)


def _is_row_number(column: str) -> bool:
    """Whether pandas called a column so because its header is blank: the row numbers that it wrote itself."""
    return column.startswith("Unnamed: ")


def _by_key(frame: pd.DataFrame, key: str, file: Path) -> dict[str, dict[str, Any]]:
    identifiers = [str(value) for value in frame[key]]
    twice = next((value for value in identifiers if identifiers.count(value) > 1), None)
    if twice is not None:
        raise Refused(f"{file}: {key} '{twice}' stands twice; keep one row a run")
    labels = {key, "name", "index", "run", "run_id"}
    columns = [column for column in frame.columns if column not in labels and not _is_row_number(str(column))]
    records = frame[columns].to_dict("records")
    return {
        run: {str(name): value for name, value in row.items() if value == value}
        for run, row in zip(identifiers, records, strict=True)
    }
