"""What all mixtures share: how the loss of an average mixture falls with model size and tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixlaw.mixture import Array
from mixlaw.surfaces.arrays import numbers_of
from mixlaw.surfaces.curves import SAME_SCALE, Index, TrainingCurves, distinct

SIZE_EXPONENT, TOKEN_EXPONENT = (0.25, 0.3), (0.6, 0.3)
"""Prior of each exponent: its median, and the standard deviation of its logarithm. Published laws with an irreducible
loss have 0.2 to 0.4 in size; the checkpoints of four published sets of runs of at most 410M have 0.44, 0.54, 0.79 and
0.81 in tokens, of which this is the geometric mean. Two sizes, or a short run, say little more than that."""

SETTLED_TOKEN_EXPONENT = (0.33, 0.3)
"""The same in tokens where losses are those of settled weights: at the end of a run, or averaged. A run under way has
its schedule's fall before it, so that its checkpoints seem to level off sooner. Published laws of finished runs have
0.285 (Hoffmann et al. 2022, 2203.15556), 0.353 (Muennighoff et al. 2023, 2305.16264) and 0.366 (Besiroglu et al. 2024,
2404.10102), of which this is the geometric mean."""

OFF_CURVE = 0.01
"""Nats by which a model size, or a moment of training, is off any smooth curve for all mixtures alike: its learning
rate, its place in the schedule, the data all runs saw in the same order. Runs at one size share this error, so many
mixtures do not make an exponent any surer."""

OFF_CELL = 0.005
"""The same for one size at one moment."""

PRIOR_OF_TERMS = (10.0, 2.0, 2.0, 0.3)
"""Prior standard deviations, nats, of the constant, the size term, the token term and their product at the largest
scale measured; the product is a correction."""

PRIOR_OF_MIXTURE = 4.0
"""Prior standard deviation, nats, of a mixture's offset: next to nothing is assumed."""

TARGETS_ALIKE = 0.29
"""Correlation of the errors of two targets, measured between validation sets of one study: V targets that share their
exponents inform them as V / (1 + 0.29 (V - 1)) independent ones would."""

MOST_CELLS = 150
"""Token counts are merged more coarsely until there are at most so many pairs of size and token count."""

GRID, ZOOMS = 9, 6
"""Exponents tried on each axis, and how often the grid is drawn closer around the best."""


@dataclass(frozen=True)
class Rows:
    """n measured checkpoints.

    Attributes:
        run, mixture, params, tokens: (n,) each.
        losses: (n, V) nats per token; NaN = not measured.
        settled: whether most of them are of settled weights.
    """

    run: Index
    mixture: Index
    params: Array
    tokens: Array
    losses: Array
    settled: bool = False

    @classmethod
    def of(cls, curves: TrainingCurves) -> Self:
        """The checkpoints of all runs, one after the other."""
        run, place = np.nonzero(np.isfinite(curves.tokens))
        settled = bool(curves.settled[run, place].mean() > 0.5)
        return cls(
            run, curves.mixture[run], curves.params[run], curves.tokens[run, place], curves.losses[run, place], settled
        )


@dataclass(frozen=True)
class Cells:
    """What the rows say of c cells (a size at a token count) once every mixture's own offset is taken out.

    Attributes:
        params, tokens: (c,) of each cell.
        of_row: (n,) the cell of each row.
        information: (V, c, c) precision of the cells' losses, errors that cells share included.
        pull: (V, c) information times the losses it speaks for.
        from_mixtures: (V, c, c) the precision before shared errors, and `pull_from_mixtures` (V, c) with it.
        shared: (c, c) covariance of the errors that all mixtures share.
        token_exponent: prior median of the exponent in tokens, and the standard deviation of its logarithm.
    """

    params: Array
    tokens: Array
    of_row: Index
    information: Array
    pull: Array
    from_mixtures: Array
    pull_from_mixtures: Array
    shared: Array
    token_exponent: tuple[float, float]

    @classmethod
    def of(cls, rows: Rows, weights: Array, noise: Array, youth: float = 0.0) -> Self:
        """Sum the rows up.

        A row is y = cell + offset of its mixture + noise. Eliminating the offsets leaves a quadratic form in the cells,
        so that a mixture which was run at one size only does not shift the others' curve.

        Args:
            rows: n checkpoints.
            weights: (n, V) robust weights; 0 where not measured.
            noise: (V,) standard deviation of one checkpoint, nats per token.
            youth: nats by which losses at half of the most tokens are off any power law; see `mixlaw.surfaces.youth`.
        """
        params, tokens, of_row = _cells(rows)
        count, mixtures = len(params), int(rows.mixture.max()) + 1
        values = np.where(weights > 0, rows.losses, 0.0)
        by_mixture = np.zeros((mixtures, count, values.shape[1]))
        np.add.at(by_mixture, (rows.mixture, of_row), weights)
        summed = np.zeros_like(by_mixture)
        np.add.at(summed, (rows.mixture, of_row), weights * values)
        total = by_mixture.sum(axis=1) + (noise / PRIOR_OF_MIXTURE) ** 2
        precision = -np.einsum("gcv,gdv->vcd", by_mixture / total[:, None], by_mixture, optimize=True)
        precision[:, np.arange(count), np.arange(count)] += by_mixture.sum(axis=0).T
        pull = (summed - by_mixture * (summed.sum(axis=1) / total)[:, None]).sum(axis=0).T
        precision, pull = precision / noise[:, None, None] ** 2, pull / noise[:, None] ** 2
        same_size, same_tokens = params[:, None] == params, tokens[:, None] == tokens
        early = youth * (tokens.max() / tokens - 1)
        shared = OFF_CURVE**2 * (same_size.astype(float) + same_tokens) + OFF_CELL**2 * np.eye(count)
        shared += np.outer(early, early) * same_tokens + np.diag(early**2)
        both = np.linalg.solve(
            np.eye(count) + precision @ shared, np.concatenate([precision, pull[:, :, None]], axis=2)
        )
        expected = SETTLED_TOKEN_EXPONENT if rows.settled else TOKEN_EXPONENT
        return cls(params, tokens, of_row, both[:, :, :-1], both[:, :, -1], precision, pull, shared, expected)


@dataclass(frozen=True)
class SharedCurve:
    """L = E + A n + B s + C n s with n = (N / N0)^-α and s = (D / D0)^-β, one set of terms a target.

    N0 and D0 are the largest scale measured, so the four terms are nats there. The product is needed: without it the
    losses of large models at many tokens come out too high.

    Attributes:
        size_exponent, token_exponent: (V,) α and β; equal for all targets where they are shared.
        terms: (4, V) E, A, B, C; 0 where the runs have one size, or one token count.
        params, tokens: N0 and D0.
    """

    size_exponent: Array
    token_exponent: Array
    terms: Array
    params: float
    tokens: float

    def features(self, params: Array | float, tokens: Array | float) -> Array:
        """1, n, s and n s of each target: shape (n, V, 4)."""
        n = (np.atleast_1d(params)[:, None] / self.params) ** -self.size_exponent
        s = (np.atleast_1d(tokens)[:, None] / self.tokens) ** -self.token_exponent
        return np.stack([np.ones_like(n), n, s, n * s], axis=2)

    def at(self, params: Array | float, tokens: Array | float) -> Array:
        """(n, V) losses of an average mixture, nats per token."""
        losses: Array = np.einsum("nvk,kv->nv", self.features(params, tokens), self.terms)
        return losses

    def parameters(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "size_exponent": self.size_exponent.tolist(),
            "token_exponent": self.token_exponent.tolist(),
            "terms": self.terms.tolist(),
            "params": self.params,
            "tokens": self.tokens,
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        return cls(
            numbers_of(parameters["size_exponent"], "size_exponent"),
            numbers_of(parameters["token_exponent"], "token_exponent"),
            numbers_of(parameters["terms"], "terms"),
            parameters["params"],
            parameters["tokens"],
        )


def fit_shared_curve(cells: Cells, *, interaction: bool, shared_exponents: bool) -> SharedCurve:
    """Fit the curve: given the exponents its terms are linear, so only the two exponents are searched.

    The criterion is the log posterior with the terms integrated out of the quadratic form and the errors that cells
    share in the covariance. Without those, hundreds of runs at four sizes would pin the exponents to whatever those
    sizes happen to be off by.

    Args:
        cells: the runs, summed up.
        interaction: whether the product term is there.
        shared_exponents: one pair of exponents for all targets, or one each.
    """
    largest_params, largest_tokens = float(cells.params.max()), float(cells.tokens.max())
    used = np.array([True, len(set(cells.params)) > 1, len(set(cells.tokens)) > 1, False])
    used[3] = interaction and used[1] and used[2]
    targets = len(cells.pull)
    prior = np.diag(1 / np.array(PRIOR_OF_TERMS)[used] ** 2)

    def curve(exponents: Array) -> SharedCurve:
        blank = np.zeros((4, targets))
        return SharedCurve(exponents[0], exponents[1], blank, largest_params, largest_tokens)

    def solve(exponents: Array) -> tuple[Array, Array]:
        features = curve(exponents).features(cells.params, cells.tokens)[:, :, used]
        across = features.transpose(1, 2, 0)
        normal = across @ (cells.information @ features.transpose(1, 0, 2)) + prior
        pull = (across @ cells.pull[:, :, None])[:, :, 0]
        terms = np.linalg.solve(normal, pull[:, :, None])[:, :, 0].astype(np.float64)
        return terms, -(pull * terms).sum(axis=1)

    priors = np.array([SIZE_EXPONENT, cells.token_exponent])
    exponents = _search(lambda pair: solve(pair)[1], priors, targets, used, shared_exponents)
    terms = np.zeros((4, targets))
    terms[used] = solve(exponents)[0].T
    return SharedCurve(exponents[0], exponents[1], terms, largest_params, largest_tokens)


def losses_of_cells(cells: Cells, curve: SharedCurve) -> Array:
    """(c, V) most probable losses of the cells: the curve, and of what a cell is off it as much as the runs support."""
    prior = np.linalg.inv(cells.shared)
    on_curve = curve.at(cells.params, cells.tokens).T
    pull = cells.pull_from_mixtures + on_curve @ prior
    return np.linalg.solve(cells.from_mixtures + prior, pull[:, :, None])[:, :, 0].T.astype(np.float64)


def _search(
    misfit: Callable[[Array], Array], priors: Array, targets: int, used: NDArray[np.bool_], shared: bool
) -> Array:
    """Exponents (2, V) of least misfit and prior penalty, by a grid in their logarithms that is drawn closer."""
    centre = np.repeat(np.log(priors[:, :1]), targets, axis=1)
    width = np.where(used[1:3], 4 * priors[:, 1], 0.0)
    alike = 1 / (1 + TARGETS_ALIKE * (targets - 1))
    offsets = np.linspace(-1, 1, GRID)
    for _ in range(ZOOMS):
        best, value = centre, np.full(targets, np.inf)
        for first in offsets if width[0] else [0.0]:
            for second in offsets if width[1] else [0.0]:
                at = centre + (width * [first, second])[:, None]
                penalty = (((at - np.log(priors[:, :1])) / priors[:, 1:]) ** 2).sum(axis=0)
                found = misfit(np.exp(at))
                found = np.full(targets, found.sum() * alike + penalty[0]) if shared else found + penalty
                better = found < value
                best, value = np.where(better, at, best), np.where(better, found, value)
        centre, width = best, width * 3 / (GRID - 1)
    exponents: Array = np.exp(centre)
    return exponents


def _cells(rows: Rows) -> tuple[Array, Array, Index]:
    """Params and tokens of the cells, and the cell of each row."""
    tolerance = SAME_SCALE
    while True:
        sizes, token_counts = distinct(rows.params), distinct(rows.tokens, tolerance)
        pair = np.stack([_nearest(rows.params, sizes), _nearest(rows.tokens, token_counts)], axis=1)
        kinds, of_row = np.unique(pair, axis=0, return_inverse=True)
        if len(kinds) <= MOST_CELLS or len(token_counts) == 1:
            middle = np.bincount(pair[:, 1], np.log(rows.tokens)) / np.bincount(pair[:, 1])
            return sizes[kinds[:, 0]], np.exp(middle)[kinds[:, 1]], of_row.reshape(-1)
        tolerance *= 2


def _nearest(values: Array, kept: Array) -> Index:
    """Which of the kept values each value is nearest to, as a ratio."""
    nearest: Index = np.abs(np.log(values[:, None] / kept)).argmin(axis=1)
    return nearest
