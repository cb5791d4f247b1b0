"""A run table as training curves: one a run, with the mixture and the size it belongs to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixlaw.mixture import Array
from mixlaw.runs import RunTable

Index = NDArray[np.int64]

SAME_SCALE = 0.01
"""Sizes and token counts within 1% are the same: nothing is extrapolated between them."""

SETTLED = ("decayed", "read-out")
"""Kinds of rows whose weights are settled: the end of a run whose rate was lowered, or an average along one."""

MOST_CHECKPOINTS = 60
"""Checkpoints of one run that are kept."""


@dataclass(frozen=True)
class TrainingCurves:
    """R runs of G mixtures, each with at most P checkpoints of V targets.

    Attributes:
        names: (R,) run names, sorted; so the order of a table's rows changes nothing.
        mixture: (R,) which row of `proportions` the run was trained on.
        params: (R,) model size.
        tokens: (R, P) increasing; NaN past the end of a run.
        losses: (R, P, V) nats per token; NaN where not measured.
        settled: (R, P) whether the weights were: annealed or averaged, as the table says, or a run's only checkpoint.
        proportions: (G, M), each mixture once.
    """

    names: tuple[str, ...]
    mixture: Index
    params: Array
    tokens: Array
    losses: Array
    settled: NDArray[np.bool_]
    proportions: Array

    @property
    def checkpoints(self) -> Index:
        """(R, V) how many losses each curve holds."""
        count: Index = np.isfinite(self.losses).sum(axis=1)
        return count

    @property
    def sizes(self) -> Array:
        """The model sizes, increasing; those within 1% of the one before count as one."""
        return distinct(self.params)


def training_curves(table: RunTable) -> TrainingCurves:
    """Order the checkpoints of each run by tokens.

    Two neighbouring checkpoints with the same losses are one measurement logged twice (published tables do this at the
    end of a run); the later stays, so that no point counts double. Of a run logged every few steps, 60 checkpoints at
    equal ratios are kept: a curve of three numbers needs no more, and they err together.
    """
    names = tuple(sorted(set(table.runs)))
    mixtures, losses, tokens = table.mixtures, table.losses, table.tokens
    rows_of = [_spread_out(_distinct_rows(rows, tokens, losses), tokens) for rows in _rows_by_run(table, names)]
    length = max(len(rows) for rows in rows_of)
    padded_tokens = np.full((len(names), length), np.nan)
    padded_losses = np.full((len(names), length, len(table.targets)), np.nan)
    said, settled = _said_settled(table), np.zeros((len(names), length), dtype=bool)
    for run, rows in enumerate(rows_of):
        padded_tokens[run, : len(rows)] = tokens[rows]
        padded_losses[run, : len(rows)] = losses[rows]
        settled[run, : len(rows)] = said[rows] | (len(rows) == 1)
    first = np.array([rows[0] for rows in rows_of])
    proportions = table.proportions[np.unique(mixtures, return_index=True)[1]]
    return TrainingCurves(
        names, mixtures[first], table.params[first], padded_tokens, padded_losses, settled, proportions
    )


def _said_settled(table: RunTable) -> NDArray[np.bool_]:
    """(n,) where the table says that a row is of settled weights."""
    if "kind" not in table.frame:
        return np.zeros(len(table), dtype=bool)
    return table.frame["kind"].isin(SETTLED).to_numpy()


def distinct(values: Array, tolerance: float = SAME_SCALE) -> Array:
    """The different values, increasing; a value within 1% (or `tolerance`) of the last one kept is dropped."""
    kept: list[float] = []
    for value in np.sort(values[np.isfinite(values)]):
        if not kept or value > kept[-1] * (1 + tolerance):
            kept.append(float(value))
    return np.array(kept)


def same_scale(values: Array, value: float) -> NDArray[np.bool_]:
    """Where sizes or token counts are within 1% of `value`."""
    same: NDArray[np.bool_] = np.abs(values / value - 1) <= SAME_SCALE
    return same


def mean_at_size(losses: Array, mixture: Index, here: NDArray[np.bool_], mixtures: int) -> Array:
    """Average the losses (R, V) of the runs that are `here` over repeats of each mixture: (G, V), NaN where none is."""
    finite = np.isfinite(losses) & here[:, None]
    total, count = np.zeros((mixtures, losses.shape[1])), np.zeros((mixtures, losses.shape[1]))
    np.add.at(total, mixture, np.where(finite, losses, 0.0))
    np.add.at(count, mixture, finite)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _rows_by_run(table: RunTable, names: tuple[str, ...]) -> list[Index]:
    order = np.argsort(table.runs.astype(str), kind="stable")
    starts = np.searchsorted(table.runs.astype(str)[order], names)
    return [rows.astype(np.int64) for rows in np.split(order, starts[1:])]


def _spread_out(rows: Index, tokens: Array) -> Index:
    """At most 60 of the rows, the first and the last among them, next to equal ratios of tokens."""
    if len(rows) <= MOST_CHECKPOINTS:
        return rows
    logs = np.log(tokens[rows])
    wanted = np.linspace(logs[0], logs[-1], MOST_CHECKPOINTS)
    kept: Index = rows[np.unique(np.abs(logs[:, None] - wanted).argmin(axis=0))]
    return kept


def _distinct_rows(rows: Index, tokens: Array, losses: Array) -> Index:
    ordered = rows[np.argsort(tokens[rows], kind="stable")]
    before, after = losses[ordered[:-1]], losses[ordered[1:]]
    repeats = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1)
    kept: Index = ordered[~np.append(repeats, False)]
    return kept
