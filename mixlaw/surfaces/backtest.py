"""Predicting the largest scale measured from smaller ones: how far off, and in which direction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mixlaw.errors import Refused
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces.curves import SAME_SCALE, TrainingCurves, distinct, same_scale, training_curves
from mixlaw.surfaces.reach import Reach

CHECKPOINTS_LEFT = 4
"""A backtest in tokens leaves the largest runs at least so many checkpoints: with fewer, a step law is a guess."""

NEAR = 1.1
"""A checkpoint stands for a token count up to 10% away; it is predicted at its own tokens all the same."""

SAME_MIXTURE = 1e-5
"""Proportions this close are one mixture."""

FEWEST_RUNS = 3
"""Runs that tell how much one run differs from its mixture's curve."""

COVERED = 0.9
"""A backtest whose ratios are at least this share of those asked for counts as having their horizon."""

UNTRIED = 0.3
"""Error, as a share of the fall in loss that is predicted, of carrying losses to more tokens where no backtest tries
that. Falls to two and four times the last of three token counts are off by 0.18 on published runs and our own (`make
bench-tokens`); few of those are independent, and at larger sizes too falls were half as large again (`runs/swarm`)."""


class Carries(Protocol):
    """What a backtest needs of a surface."""

    @property
    def proportions(self) -> Array:
        """(G, M) the mixtures it was fitted to."""

    def losses_at(self, params: float, tokens: float) -> Array:
        """(G, V) losses of the surface's own mixtures at a scale, nats per token."""


@dataclass(frozen=True)
class Backtest:
    """Errors of predicting runs at the largest scale measured from the runs below it.

    Attributes:
        params_ratio, tokens_ratio: held out over the largest size, and the most tokens, that were fitted.
        bias: (V,) mean of predicted minus measured, nats per token; NaN where nothing was measured.
        rmse: (V,) root mean square of the same.
        runs: how many runs were predicted.
    """

    params_ratio: float
    tokens_ratio: float
    bias: Array
    rmse: Array
    runs: int

    @property
    def horizon(self) -> float:
        """Length of the extrapolation: the logarithms of both ratios, added."""
        return float(np.log(self.params_ratio) + np.log(self.tokens_ratio))

    def covers(self, params_ratio: float, tokens_ratio: float) -> bool:
        """Whether it reaches as far in both directions."""
        return self.params_ratio >= COVERED * params_ratio and self.tokens_ratio >= COVERED * tokens_ratio

    def shared_error(self) -> Array:
        """(V,) standard deviation of an error that all mixtures share, as one backtest can tell it.

        Each target shows one mean error, and one draw is a poor estimate of a spread: a target that was hit by luck
        would be trusted too much. So its square is averaged with the mean square over all targets.
        """
        squares = self.bias**2
        both: Array = np.sqrt((squares + np.nanmean(squares)) / 2)
        return np.where(np.isfinite(both), both, np.sqrt(np.nanmean(squares)))

    def parameters(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "params_ratio": self.params_ratio,
            "tokens_ratio": self.tokens_ratio,
            "bias": _blanks(self.bias),
            "rmse": _blanks(self.rmse),
            "runs": self.runs,
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        return cls(
            parameters["params_ratio"],
            parameters["tokens_ratio"],
            np.array(parameters["bias"], dtype=float),
            np.array(parameters["rmse"], dtype=float),
            parameters["runs"],
        )


def backtests(table: RunTable, fit: Callable[[RunTable], Carries]) -> tuple[Backtest, ...]:
    """Fit to the lower part of a table and predict the last checkpoint of its largest runs, for every cut it admits.

    Sizes are cut below the largest and below the one before it; tokens at the earliest point that leaves the largest
    runs enough checkpoints, and half way from there; and both together. A cut that `fit` refuses, for want of sizes or
    checkpoints, is no backtest.

    Args:
        table: the runs a surface is fitted to.
        fit: fits the surface to a part of them.
    """
    curves = training_curves(table)
    held_out = _HeldOut.of(curves)
    found = []
    for largest_size, most_tokens in _cuts(curves, held_out.params, held_out.tokens):
        part = table.where((table.params <= largest_size * (1 + SAME_SCALE)) & (table.tokens <= most_tokens))
        try:
            errors = held_out.errors(fit(part))
        except Refused:
            continue
        if np.isfinite(errors).any():
            reach = Reach.of(part)
            found.append(
                Backtest(
                    held_out.params / reach.sizes[-1],
                    max(1.0, held_out.tokens / reach.most_tokens),
                    mean_of_known(errors),
                    np.sqrt(mean_of_known(errors**2)),
                    int(np.isfinite(errors).any(axis=1).sum()),
                )
            )
    return tuple(found)


def noise_of_runs(table: RunTable, surface: Carries) -> Array:
    """(V,) robust standard deviation of single runs about what a surface fitted to them carries of their mixtures.

    Taken at the end of the largest runs, less what all of them are off there; 0 where fewer than three runs tell it.
    """
    errors = _HeldOut.of(training_curves(table)).errors(surface)
    noise = np.zeros(errors.shape[1])
    for target, column in enumerate(errors.T):
        known = column[np.isfinite(column)]
        if len(known) >= FEWEST_RUNS:
            noise[target] = 1.4826 * np.median(np.abs(known - np.median(known)))
    return noise


def scale_error(
    tests: Sequence[Backtest], params_ratio: float, tokens_ratio: float, fall: Array
) -> tuple[Array, tuple[str, ...]]:
    """Error of carrying losses so far, judged by the backtest of the nearest horizon, and what is to be said of it.

    A backtest that reaches as far in both directions is taken as it is. Else the one that falls least short of them is,
    and of several the one whose horizon is most like that asked for; a shorter one is stretched in proportion to it.
    Where it tries no more tokens it tells of sizes only, and a share of the predicted fall is added.

    Args:
        tests: backtests of the surface.
        params_ratio, tokens_ratio: the scale asked for over the largest measured, 1 at least.
        fall: (V,) predicted fall in loss from the most tokens measured to those asked for, nats per token; NaN where
            nothing is predicted.

    Returns:
        (V,) standard deviation in nats per token, and warnings: when no backtest reaches as far, that is said.
    """
    horizon = float(np.log(params_ratio) + np.log(tokens_ratio))
    if horizon <= 2 * SAME_SCALE:
        return np.zeros(len(fall)), ()
    asked = _said(params_ratio, tokens_ratio)
    covering = [test for test in tests if test.covers(params_ratio, tokens_ratio)]
    if covering:
        return min(covering, key=lambda test: test.horizon).shared_error(), ()
    untried = UNTRIED * np.abs(np.nan_to_num(fall)) if tokens_ratio > NEAR else np.zeros(len(fall))
    guessed = f"{UNTRIED:.0%} of the fall in loss predicted for the tokens is taken as its error"
    if not tests:
        rests = f"the fit, and {guessed}" if untried.any() else "the fit alone"
        return untried, (
            f"no backtest is possible at {asked}: the runs cannot be cut below their largest scale; the interval "
            f"rests on {rests}",
        )

    def shortfall(test: Backtest) -> float:
        return max(0.0, float(np.log(params_ratio / test.params_ratio))) + max(
            0.0, float(np.log(tokens_ratio / test.tokens_ratio))
        )

    nearest = min(tests, key=lambda test: (shortfall(test), abs(test.horizon - horizon)))
    error, said = nearest.shared_error(), f"no backtest reaches {asked}"
    if tokens_ratio > NEAR and nearest.tokens_ratio <= 1 + SAME_SCALE:
        stretch = max(1.0, float(np.log(params_ratio)) / nearest.horizon) if params_ratio > 1 + SAME_SCALE else 0.0
        return np.hypot(error * stretch, untried), (
            f"{said}, and none tries more tokens: {guessed}; the order of mixtures is to be trusted, their level less",
        )
    return error * max(1.0, horizon / nearest.horizon), (
        f"{said}; the nearest that the runs admit, {_said(nearest.params_ratio, nearest.tokens_ratio)}, is stretched "
        "to it",
    )


def _said(params_ratio: float, tokens_ratio: float) -> str:
    """The ratios above 1, in words."""
    named = ((params_ratio, "params"), (tokens_ratio, "tokens"))
    return " and ".join(f"{ratio:.3g} times the {what}" for ratio, what in named if ratio > 1 + SAME_SCALE)


@dataclass(frozen=True)
class _HeldOut:
    """The end of the largest runs.

    Attributes:
        params, tokens: the scale.
        at: (n,) tokens of each run's own checkpoint there.
        proportions, losses: (n, M) and (n, V).
    """

    params: float
    tokens: float
    at: Array
    proportions: Array
    losses: Array

    @classmethod
    def of(cls, curves: TrainingCurves) -> Self:
        """The largest runs at the last token count that half of them reached, each at its checkpoint next to it."""
        largest = np.flatnonzero(same_scale(curves.params, float(curves.sizes[-1])))
        ends = np.sort(np.nanmax(curves.tokens[largest], axis=1))[::-1]
        tokens = float(ends[(len(ends) + 1) // 2 - 1])
        away = np.abs(np.log(np.where(np.isfinite(curves.tokens[largest]), curves.tokens[largest], np.inf) / tokens))
        near = away.min(axis=1) <= np.log(NEAR)
        rows, place = largest[near], away.argmin(axis=1)[near]
        return cls(
            float(curves.sizes[-1]),
            tokens,
            curves.tokens[rows, place],
            curves.proportions[curves.mixture[rows]],
            curves.losses[rows, place],
        )

    def errors(self, surface: Carries) -> Array:
        """Predicted minus measured, one row a held-out run; NaN for mixtures the surface was not fitted to."""
        errors = np.full_like(self.losses, np.nan)
        distance = np.abs(self.proportions[:, None, :] - surface.proportions[None, :, :]).max(axis=2)
        known = distance.min(axis=1) < SAME_MIXTURE
        for tokens in np.unique(self.at):
            here = known & (self.at == tokens)
            predicted = surface.losses_at(self.params, float(tokens))
            errors[here] = predicted[distance.argmin(axis=1)[here]] - self.losses[here]
        return errors


def _cuts(curves: TrainingCurves, size: float, tokens: float) -> list[tuple[float, float]]:
    """Largest size and most tokens to fit, for each backtest."""
    logged = curves.tokens[same_scale(curves.params, size)]
    enough = logged[np.isfinite(logged).sum(axis=1) > CHECKPOINTS_LEFT]
    smaller = [float(value) for value in curves.sizes[:-1][::-1][:2]]
    cuts = [(value, np.inf) for value in smaller]
    if 2 * len(enough) >= len(logged):
        earliest = float(np.quantile(enough[:, CHECKPOINTS_LEFT - 1], 0.5, method="higher"))
        grid = distinct(logged)
        halfway = float(grid[grid <= np.sqrt(earliest * tokens) * (1 + SAME_SCALE)][-1])
        cuts += [(size, most) for most in sorted({earliest, halfway}) if most < tokens]
        cuts += [(value, earliest) for value in smaller]
    return [(largest_size, most * (1 + SAME_SCALE)) for largest_size, most in cuts]


def mean_of_known(values: Array) -> Array:
    """Mean of each column's finite values; NaN for a column without any."""
    finite: NDArray[np.bool_] = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=0)
    mean: Array = np.full(values.shape[1], np.nan)
    np.divide(total, finite.sum(axis=0), out=mean, where=finite.any(axis=0))
    return mean


def _blanks(values: Array) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
