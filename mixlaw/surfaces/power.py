"""Curves that fall as a power of tokens or of model size, many at once, with tied exponents."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixlaw.mixture import Array

Groups = NDArray[np.int64]

EXPONENTS = (0.01, 4.0)
"""The exponents searched. A fit that ends at either end has not seen the curve bend."""

GRID = 25
"""Exponents tried, evenly spaced in the logarithm, before the best is refined by golden sections."""

SECTIONS = 40
"""Golden sections after the grid; each keeps 0.618 of the bracket, so the last moves an exponent by 1e-9 of itself."""

SETTLED = 1e-10
"""Nats; a robust line has settled when a solve moves none of its residuals further."""

REWEIGHTINGS = 100
"""Largest number of reweighted solves for one Huber line; 2-10 are usual."""


@dataclass(frozen=True)
class PowerCurves:
    """C curves L(x) = floor + height (x / unit)^-exponent, in nats per token.

    Written exp(lc) + exp(a (lx - log x)) in the source (Ye et al. 2024, 2403.16952, step and size laws); here
    lc = log floor, a = exponent, and lx = log unit + log height / a. Floor and height are at least 0.

    Attributes:
        floor: (C,) the loss that no amount of x removes.
        height: (C,) what is left to remove at x = unit.
        exponent: (C,) equal within a group.
        unit: a typical x, so that heights are losses one can read.
    """

    floor: Array
    height: Array
    exponent: Array
    unit: float

    def at(self, x: float) -> Array:
        """The C losses at x, nats per token."""
        return self.floor + self.height * (x / self.unit) ** -self.exponent


def fit_power_curves(
    x: Array,
    losses: Array,
    groups: Groups,
    *,
    huber: float,
    held_out: Groups | int = 0,
    exponents: tuple[float, float] = EXPONENTS,
) -> PowerCurves:
    """Fit every curve, with one exponent for all curves of a group.

    Given the exponent a curve is a straight line in x^-exponent, so its floor and height follow from a two-parameter
    robust regression with both at least 0; what is left is one number a group, found by a grid and golden sections.
    There is nothing random and no start to choose.

    A curve with `held_out` > 0 takes floor and height from all but its last points, and its group the exponent that
    predicts those last points best. The source chooses among its random starts in this way.

    Args:
        x: (C, P) tokens or params, positive, in the order of each curve.
        losses: (C, P) nats per token; NaN = not measured. Each curve needs at least 2 points besides those held out.
        groups: (C,) integers from 0; curves of one group share their exponent.
        huber: residual, nats, beyond which the penalty grows linearly.
        held_out: (C,), or one number: points at the end of each curve that choose the exponent and do nothing else.
        exponents: the interval searched.
    """
    measured = np.isfinite(losses)
    remaining = np.cumsum(measured[:, ::-1], axis=1)[:, ::-1]
    tail = np.broadcast_to(held_out, len(losses))[:, None]
    training = measured & (remaining > tail)
    scored = np.where(tail > 0, measured & ~training, measured)
    if (training.sum(axis=1) < 2).any():
        raise ValueError("every curve needs two points to fit")
    unit = float(np.exp(np.mean(np.log(x[measured]))))
    log_x = np.where(measured, np.log(x / unit), 0.0)
    values = np.where(measured, losses, 0.0)
    count = int(groups.max()) + 1

    def lines(exponent: Array) -> tuple[Array, Array, Array]:
        return _lines(np.exp(-exponent[groups][:, None] * log_x), values, training, huber)

    def score(exponent: Array) -> Array:
        _, _, residual = lines(exponent)
        return np.bincount(groups, (huber_loss(residual, huber) * scored).sum(axis=1), count).astype(float)

    exponent = minimise_each(score, count, exponents)
    floor, height, _ = lines(exponent)
    return PowerCurves(floor, height, exponent[groups], unit)


def huber_loss(residual: Array, delta: float) -> Array:
    """residual² / 2 within delta, growing linearly beyond (Huber 1964)."""
    size = np.abs(residual)
    return np.where(size <= delta, residual**2 / 2, delta * (size - delta / 2))


def minimise_each(score: Callable[[Array], Array], count: int, interval: tuple[float, float]) -> Array:
    """Minimise `count` functions of one positive number at once: a logarithmic grid, then golden sections.

    Args:
        score: maps (count,) numbers to (count,) values, each depending on its own number only.
        count: how many functions.
        interval: the positive numbers searched.

    Returns:
        (count,) minimisers; exact for functions that have one minimum between neighbours of the best grid point.
    """
    grid = np.linspace(np.log(interval[0]), np.log(interval[1]), GRID)
    values = np.array([score(np.full(count, np.exp(point))) for point in grid])
    best = values.argmin(axis=0)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, GRID - 1)]
    shrink = (np.sqrt(5) - 1) / 2
    left, right = high - shrink * (high - low), low + shrink * (high - low)
    at_left, at_right = score(np.exp(left)), score(np.exp(right))
    for _ in range(SECTIONS):
        keep_left = at_left <= at_right
        low, high = np.where(keep_left, low, left), np.where(keep_left, right, high)
        fresh = np.where(keep_left, high - shrink * (high - low), low + shrink * (high - low))
        at_fresh = score(np.exp(fresh))
        left, right = np.where(keep_left, fresh, right), np.where(keep_left, left, fresh)
        at_left, at_right = np.where(keep_left, at_fresh, at_right), np.where(keep_left, at_left, at_fresh)
    middle = np.where(at_left <= at_right, left, right)
    improved = np.minimum(at_left, at_right) <= values.min(axis=0)
    found: Array = np.exp(np.where(improved, middle, grid[best]))
    return found


def _lines(feature: Array, values: Array, training: NDArray[np.bool_], huber: float) -> tuple[Array, Array, Array]:
    """Robust lines values ≈ floor + height * feature with both coefficients at least 0, one a row.

    Reweighted least squares: each solve minimises a quadratic that touches the Huber penalty from above, so the
    penalty never rises; rows without an outlier are done after the first.
    """
    floor, height = _bounded_lines(feature, values, training.astype(float))
    residual = values - floor[:, None] - height[:, None] * feature
    moving = np.flatnonzero((np.abs(residual) * training > huber).any(axis=1))
    for _ in range(REWEIGHTINGS):
        if not len(moving):
            break
        size = np.maximum(np.abs(residual[moving]), huber)
        new_floor, new_height = _bounded_lines(feature[moving], values[moving], training[moving] * huber / size)
        fresh = values[moving] - new_floor[:, None] - new_height[:, None] * feature[moving]
        change = np.abs((fresh - residual[moving]) * training[moving]).max(axis=1)
        floor[moving], height[moving], residual[moving] = new_floor, new_height, fresh
        moving = moving[change > SETTLED]
    return floor, height, residual


def _bounded_lines(feature: Array, values: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted least squares for floor and height, both at least 0: the free solution, or the better of the edges."""
    total = weight.sum(axis=1)
    mean_feature = (weight * feature).sum(axis=1) / total
    mean_value = (weight * values).sum(axis=1) / total
    centred = (feature - mean_feature[:, None]) * weight
    spread = (centred * feature).sum(axis=1)
    height = np.divide((centred * values).sum(axis=1), spread, out=np.zeros_like(total), where=spread > 0)
    height = np.maximum(height, 0.0)  # a rising curve: the best with height >= 0 is flat, at its mean
    floor = mean_value - height * mean_feature
    through_zero = (weight * feature * values).sum(axis=1) / (weight * feature**2).sum(axis=1)
    height = np.where(floor < 0, through_zero, height)
    return np.maximum(floor, 0.0), height
