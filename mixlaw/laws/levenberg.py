"""Batched robust least squares: every target and every start of a law, minimised at once.

Levenberg (1944) and Marquardt (1963) with analytic first and second derivatives. It minimises, for each of B problems,

    sum_i w_i rho(y_i - f_i(theta)) + (theta - m)' P (theta - m),   lower <= theta <= upper,

where rho is Huber's (1964): r² within delta, 2 delta |r| - delta² beyond. Far from the minimum the Gauss-Newton
matrix is used, which is never indefinite; near it the exact Hessian, so the last steps converge quadratically and the
answer depends on the order of runs, domains or targets by rounding only. It never stops early: a problem ends when the
step left to take is below rounding, or it is reported as not converged.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixlaw.mixture import Array

Mask = NDArray[np.bool_]

ITERATIONS = 300
"""Far above what any problem met so far needs (10 to 60); reaching it is reported, not hidden."""

SETTLED = 1e-24
"""Fall of the objective, as a share of the losses' sum of squares, below which an undamped step is the last: 1e-12 of
the spread of the losses was left before it."""

ROUNDING = 1e-12
"""Relative rounding error of an objective; falls below it cannot be told from none."""

LARGEST_DAMPING = 1e12


class Curve(ABC):
    """A function of n runs with p parameters, evaluated for B parameter vectors at once."""

    @abstractmethod
    def values(self, theta: Array) -> Array:
        """Predictions (B, n) for parameters (B, p)."""

    @abstractmethod
    def slopes(self, theta: Array) -> Array:
        """Derivative of the predictions in the parameters, (B, n, p)."""

    @abstractmethod
    def bend(self, theta: Array, pull: Array) -> Array:
        """Second derivatives in the parameters summed over runs with factors `pull` (B, n): shape (B, p, p)."""


@dataclass(frozen=True)
class Problem:
    """B robust least-squares problems over the same runs.

    Attributes:
        losses: (B, n) what is fitted; any finite number where the weight is 0.
        weights: (B, n) 0 where the loss was not measured, otherwise the run's importance.
        huber: (B, n) delta of Huber's function, nats; infinite means plain squares.
        precision: (B, p, p) P of the penalty, positive semidefinite, nats² per unit of parameter squared.
        centre: (B, p) m of the penalty.
        lower, upper: (B, p) bounds of the parameters; may be infinite.
    """

    losses: Array
    weights: Array
    huber: Array
    precision: Array
    centre: Array
    lower: Array
    upper: Array

    def take(self, which: "NDArray[np.intp]") -> "Problem":
        """The problems numbered `which`, in that order; numbers may repeat."""
        return replace(self, **{name: getattr(self, name)[which] for name in self.__dataclass_fields__})

    def objective(self, theta: Array, residuals: Array) -> Array:
        """(B,) the function that is minimised."""
        size = np.abs(residuals)
        clipped = np.minimum(size, self.huber)  # rho = clipped (2 size - clipped), also where delta is infinite
        away = theta - self.centre
        penalty: Array = np.einsum("bp,bpq,bq->b", away, self.precision, away)
        data: Array = (self.weights * clipped * (2 * size - clipped)).sum(axis=1)
        return data + penalty

    def robust_weights(self, residuals: Array) -> Array:
        """(B, n) weights times Huber's factor min(1, delta / |residual|)."""
        size = np.maximum(np.abs(residuals), np.finfo(float).tiny)
        return self.weights * (np.minimum(self.huber, size) / size)


@dataclass(frozen=True)
class Minimum:
    """Where the minimisation ended, for each of B problems.

    Attributes:
        theta: (B, p) parameters.
        objective: (B,) minimised objective, nats².
        residuals: (B, n) losses minus predictions.
        converged: (B,) whether no step worth taking was left.
        iterations: (B,) steps tried.
    """

    theta: Array
    objective: Array
    residuals: Array
    converged: Mask
    iterations: NDArray[np.intp]


def minimise(curve: Curve, start: Array, problem: Problem, iterations: int = ITERATIONS, near: bool = False) -> Minimum:
    """Minimise all problems from the given parameters; deterministic, and independent across problems.

    Args:
        curve: the function that is fitted.
        start: (B, p) first parameters; clipped to the bounds.
        problem: losses, weights, penalty and bounds.
        iterations: most steps to try; fewer than needed leaves `converged` false.
        near: whether the start is thought to be near the minimum: begin with exact Newton steps.
    """
    theta = np.clip(start, problem.lower, problem.upper)
    residuals = problem.losses - curve.values(theta)
    objective = problem.objective(theta, residuals)
    state = _Damping.fresh(len(theta), near)
    settled = SETTLED * _sum_of_squares(problem)
    converged, count = np.zeros(len(theta), dtype=bool), np.zeros(len(theta), dtype=np.intp)
    active = np.arange(len(theta))
    for _ in range(iterations):
        if not len(active):
            break
        part = problem.take(active)
        last = (state.damping[active] == 0) & (state.exact[active] | state.uphill[active])
        step, promised, slope = _step(
            curve, part, theta[active], residuals[active], state.damping[active], state.exact[active]
        )
        trial = np.clip(theta[active] + step, part.lower, part.upper)
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is refused below, whatever it overflows to
            trial_residuals = part.losses - curve.values(trial)
            trial_objective = np.nan_to_num(part.objective(trial, trial_residuals), nan=np.inf)
        fall = objective[active] - trial_objective
        rounding = ROUNDING * objective[active]
        better = (slope >= 0) & (fall >= -rounding)
        small = (slope >= 0) & (slope <= np.maximum(settled[active], rounding))
        least = (slope <= settled[active]) | (slope > 0.1 * state.slope[active]) | ~better
        taken = active[better]
        theta[taken], residuals[taken] = trial[better], trial_residuals[better]
        objective[taken] = trial_objective[better]
        count[active] += 1
        converged[active] = small & last & least
        state.slope[active] = np.where(last, slope, np.inf)
        with np.errstate(over="ignore"):
            ratio = fall / np.maximum(promised, rounding + np.finfo(float).tiny)
        state.update(active, better, small, slope < 0, ratio)
        active = active[~converged[active] & (state.damping[active] < LARGEST_DAMPING)]
    return Minimum(theta, objective, residuals, converged, count)


@dataclass
class _Damping:
    """How far each problem trusts its quadratic model."""

    damping: Array
    growth: Array
    exact: Mask
    uphill: Mask  # the exact Hessian has led uphill: it is not positive definite here
    slope: Array  # step . descent of the last undamped step: where it no longer falls, rounding is all that is left

    @classmethod
    def fresh(cls, count: int, near: bool) -> "_Damping":
        damping = np.full(count, 0.0 if near else 1e-3)
        nothing = np.zeros(count, dtype=bool)
        return cls(damping, np.full(count, 4.0), np.full(count, near), nothing, np.full(count, np.inf))

    def update(self, active: "NDArray[np.intp]", better: Mask, small: Mask, uphill: Mask, ratio: Array) -> None:
        """Relax where the model foretold the fall, tighten where it did not; `ratio` is fall over promised fall."""
        relax = np.select([ratio > 0.75, ratio > 0.5, ratio > 0.25], [0.05, 0.3, 1.0], 3.0)
        damping, growth = self.damping[active], self.growth[active]
        tightened = np.maximum(damping * growth, 1e-9)
        # A small step under damping may still be far from the minimum along a direction the runs hardly decide:
        # take the damping off and look again, with the exact Hessian, before calling it the end.
        self.damping[active] = np.where(better, np.where(small, 0.0, damping * relax), tightened)
        self.growth[active] = np.where(better, 4.0, np.minimum(growth * 2, 1e3))
        self.uphill[active] |= uphill & self.exact[active]
        trusted = self.exact[active] | (better & (ratio > 0.5) & (ratio < 2.0)) | (small & ~self.uphill[active])
        self.exact[active] = ~uphill & trusted


def _sum_of_squares(problem: Problem) -> Array:
    total = np.maximum(problem.weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    mean = (problem.weights * problem.losses).sum(axis=1, keepdims=True) / total
    squares: Array = (problem.weights * (problem.losses - mean) ** 2).sum(axis=1)
    floor: Array = 1e-24 * (total * mean**2)[:, 0]
    return np.maximum(squares, floor)


def _step(
    curve: Curve, problem: Problem, theta: Array, residuals: Array, damping: Array, exact: Mask
) -> tuple[Array, Array, Array]:
    """The damped step (B, p), the fall of the objective (B,) its model promises, and step . descent (B,)."""
    slopes = curve.slopes(theta)
    weights = problem.robust_weights(residuals)
    away = theta - problem.centre
    descent = np.einsum("bnp,bn->bp", slopes, weights * residuals) - np.einsum("bpq,bq->bp", problem.precision, away)
    matrix = np.matmul((slopes * weights[:, :, None]).transpose(0, 2, 1), slopes) + problem.precision
    size = np.einsum("bpp->bp", matrix).copy()
    if exact.any():
        some = np.flatnonzero(exact)
        matrix[some] = _hessian(curve, problem.take(some), theta[some], residuals[some], slopes[some])
    added = damping[:, None] * size + 1e-15 * size.max(axis=1, keepdims=True) + np.finfo(float).tiny
    diagonal = np.arange(theta.shape[1])
    matrix[:, diagonal, diagonal] += added
    step = _solve_within(matrix, descent, problem.lower - theta, problem.upper - theta)
    slope: Array = np.einsum("bp,bp->b", step, descent)
    bent: Array = np.einsum("bp,bpq,bq->b", step, matrix, step) - np.einsum("bp,bp->b", step**2, added)
    return step, 2 * slope - bent, slope


def _solve_within(matrix: Array, descent: Array, below: Array, above: Array) -> Array:
    """Solve matrix step = descent with below <= step <= above: what would cross a bound stops on it."""
    fixed = ((below >= 0) & (descent < 0)) | ((above <= 0) & (descent > 0))
    move = np.zeros_like(descent)
    diagonal = np.arange(descent.shape[1])
    for _ in range(4):
        right = np.where(fixed, move, descent - np.einsum("bpq,bq->bp", matrix, move))
        free = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, matrix)
        free[:, diagonal, diagonal] = np.where(fixed, 1.0, free[:, diagonal, diagonal])
        step: Array = np.linalg.solve(free, right[:, :, None])[:, :, 0]
        crossing = ~fixed & ((step < below) | (step > above))
        if not crossing.any():
            break
        fixed |= crossing
        move = np.where(crossing, np.clip(step, below, above), move)
    return step


def _hessian(curve: Curve, problem: Problem, theta: Array, residuals: Array, slopes: Array) -> Array:
    """Half the second derivative of the objective, (B, p, p): Huber's function is flat beyond delta."""
    inside = problem.weights * (np.abs(residuals) <= problem.huber)
    squares = np.matmul((slopes * inside[:, :, None]).transpose(0, 2, 1), slopes)
    hessian: Array = squares - curve.bend(theta, problem.robust_weights(residuals) * residuals) + problem.precision
    return hessian
