"""Mixtures that moved while a run trained, and full runs that no law predicted."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mixlaw.errors import Refused
from mixlaw.mixture import Array
from mixlaw.report.figures.choice import effective_samples, over_tokens
from mixlaw.report.page import Cell, Column, Drawing, Section, Table
from mixlaw.runs import RunTable
from mixlaw.weights import weights_of
from mixlaw.wording import counted

READ, WEIGHED = "mix.", "weight."
"""Columns by domain: the proportions that a step was read by, and the weights its losses were weighed by."""

EFFECTIVE = "effective_samples"

SHOWN = 6
"""Runs drawn."""

DRAWN = 160
"""Steps drawn of each run, evenly over those written down: two a millimetre of the page."""

LISTED = 25
"""Steps listed of each run, evenly over those written down; the table of a whole run is the file's to keep."""


def moved(path: Path, title: str = "Weights over time") -> Section | None:
    """Proportions over tokens of each run in a table of weights, as `mixlaw train` writes it; None where there is none.

    Args:
        path: of the table.
        title: of the section.

    Raises:
        Refused: for a table without runs, tokens or proportions.
    """
    if not path.is_file():
        return None
    try:
        frame = pd.read_csv(path, dtype={"run": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not a csv table of weights: {error}; delete it, or train again") from None
    if not {"run", "tokens"} <= set(frame.columns) or not any(name.startswith(READ) for name in frame.columns):
        raise Refused(f"{path} has no columns run, tokens and {READ}<domain>; delete it, or train again")
    runs = {str(run): rows.sort_values("tokens") for run, rows in frame.groupby("run", sort=True)}
    figures = [drawing for run, rows in list(runs.items())[:SHOWN] for drawing in _of_run(run, rows)]
    figures += _samples(runs)
    more = f" The first {SHOWN} are drawn." if len(runs) > SHOWN else ""
    listed = pd.concat([rows.iloc[_evenly(len(rows), LISTED)] for rows in runs.values()])
    left_out = f"; the rest of {len(frame)} rows are in {path.name}" if len(listed) < len(frame) else ""
    columns = [Column("run"), *(Column(str(name), ".4g") for name in frame.columns if name != "run")]
    rows: list[list[Cell]] = [
        [str(row[0]), *(float(value) for value in row[1:])]
        for row in listed[["run", *(c for c in frame.columns if c != "run")]].itertuples(index=False, name=None)
    ]
    return Section(
        title=title,
        paragraphs=[f"{counted(len(runs), 'run')} whose mixture or weights moved in training.{more}"],
        figures=figures,
        tables=[Table.of(columns, rows, f"steps written down{left_out}", folded=True)],
    )


def _evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly spread, with the first and the last."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most)).tolist()})


def _of_run(run: str, rows: pd.DataFrame) -> list[Drawing]:
    """What moved of one run: the proportions it read by, the weights of its losses, or neither."""
    found: list[Drawing] = []
    for prefix, what in ((READ, "proportions it read by"), (WEIGHED, "weights of its domains")):
        names = [name for name in rows.columns if name.startswith(prefix) and rows[name].notna().all()]
        values: Array = rows[names].to_numpy(dtype=float)
        if names and np.ptp(values, axis=0).max() > 0 and not (found and prefix == WEIGHED and _same(rows, names)):
            domains = [name.removeprefix(prefix) for name in names]
            drawn = _evenly(len(rows), DRAWN)
            figure = over_tokens(domains, rows["tokens"].to_numpy(dtype=float)[drawn], values[drawn])
            found.append(Drawing.of(figure, f"{run}: the {what}, in layers that sum to 100%."))
    return found


def _samples(runs: Mapping[str, pd.DataFrame]) -> list[Drawing]:
    """The effective sample size of the batches of runs whose sequences were weighed."""
    curves: dict[str, tuple[Array, Array]] = {}
    for run, rows in runs.items():
        seen = rows[rows[EFFECTIVE].notna()] if EFFECTIVE in rows else rows[:0]
        if len(seen):
            curves[run] = (seen["tokens"].to_numpy(dtype=float), seen[EFFECTIVE].to_numpy(dtype=float))
    if not curves:
        return []
    caption = "How many evenly weighed sequences each batch was worth where sequences were weighed by their losses."
    return [Drawing.of(effective_samples(curves), caption)]


def _same(rows: pd.DataFrame, names: list[str]) -> bool:
    """Whether the weights are the proportions, as they are for methods that act through sampling."""
    read = rows[[READ + name.removeprefix(WEIGHED) for name in names]].to_numpy(dtype=float)
    return bool(np.allclose(read, rows[names].to_numpy(dtype=float), atol=0.02))


def others(full_runs: RunTable, predicted: Mapping[str, object], weights: Mapping[str, float]) -> Section | None:
    """Full runs of mixtures that no law predicted: given by hand, moved while they trained, or out of the law's reach;
    None without any."""
    last = full_runs.last()
    if "group" not in last.frame:
        return None
    importance = weights_of(weights, last.targets)
    totals = last.losses[:, importance > 0] @ importance[importance > 0]
    names = last.frame["group"].astype(str).to_numpy()
    rows: list[list[Cell]] = []
    for name in dict.fromkeys(names.tolist()):
        if name not in predicted:
            losses = totals[names == name]
            spread = float(np.std(losses, ddof=1)) if len(losses) > 1 else None
            rows.append([name, float(np.mean(losses)), spread, float(len(losses))])
    if not rows:
        return None
    columns = [Column("runs of"), Column("measured", ".4f"), Column("between seeds", ".4f"), Column("seeds", ".0f")]
    return Section(
        title="Other full runs" if predicted else "Full runs",
        paragraphs=["Trained at the target's scale, with no prediction to hold them against."],
        tables=[Table.of(columns, rows, "weighted loss, nats per token")],
    )
