"""Batched robust least squares: every target and every start of a law, minimised at once.

Levenberg (1944) and Marquardt (1963) with analytic first and second derivatives. It minimises, for each of B problems,

    sum_i w_i rho(y_i - f_i(theta)) + (theta - m)' P (theta - m),   lower <= theta <= upper,

where rho is Huber's (1964): r^2 within delta, 2 delta |r| - delta^2 beyond. Far from the minimum the Gauss-Newton matrix
is used, which is never indefinite; near it the exact Hessian, so the last steps converge quadratically and the answer
depends on the order of runs, domains or targets by rounding only. It never stops early: a problem ends when the step
left to take is below rounding, or it is reported as not converged.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixlaw.mixture import Array

Mask = NDArray[np.bool_]

ITERATIONS = 300
"""Far above what any problem met so far needs (10 to 60); reaching it is reported, not hidden."""

SETTLED_EXACT = 1e-16
"""Predicted decrease, as a share of the losses' sum of squares, after which one exact Newton step reaches rounding."""

SETTLED_GAUSS_NEWTON = 1e-22
"""The same where the exact Hessian is of no use (not positive definite): linear convergence has to go further."""

NEAR = 1e-3
"""Relative decrease of an accepted step below which the exact Hessian is tried."""

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
        huber: (B,) delta of Huber's function, nats; infinite means plain squares.
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
        delta = self.huber[:, None]
        # inf * 0 must not arise where delta is infinite: clip first, so that rho = clipped (2 size - clipped).
        clipped = np.minimum(size, delta)
        away = theta - self.centre
        penalty: Array = np.einsum("bp,bpq,bq->b", away, self.precision, away)
        data: Array = (self.weights * clipped * (2 * size - clipped)).sum(axis=1)
        return data + penalty

    def robust_weights(self, residuals: Array) -> Array:
        """(B, n) weights times Huber's factor min(1, delta / |residual|)."""
        size = np.maximum(np.abs(residuals), np.finfo(float).tiny)
        return self.weights * np.minimum(1.0, self.huber[:, None] / size)


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


def minimise(curve: Curve, start: Array, problem: Problem, iterations: int = ITERATIONS) -> Minimum:
    """Minimise all problems from the given parameters; deterministic, and independent across problems.

    Args:
        curve: the function that is fitted.
        start: (B, p) first parameters; clipped to the bounds.
        problem: losses, weights, penalty and bounds.
        iterations: most steps to try; fewer than needed leaves `converged` false.
    """
    theta = np.clip(start, problem.lower, problem.upper)
    residuals = problem.losses - curve.values(theta)
    objective = problem.objective(theta, residuals)
    scale = _sum_of_squares(problem)
    damping, exact = np.full(len(theta), 1e-3), np.zeros(len(theta), dtype=bool)
    converged, count = np.zeros(len(theta), dtype=bool), np.zeros(len(theta), dtype=np.intp)
    active = np.arange(len(theta))
    for _ in range(iterations):
        if not len(active):
            break
        part = problem.take(active)
        step, decrease = _step(curve, part, theta[active], residuals[active], damping[active], exact[active])
        trial = np.clip(theta[active] + step, part.lower, part.upper)
        trial_residuals = part.losses - curve.values(trial)
        trial_objective = part.objective(trial, trial_residuals)
        rounding = 1e-13 * objective[active]
        better = (trial_objective <= objective[active] + rounding) & (decrease >= 0)
        settled = decrease <= np.where(exact[active], SETTLED_EXACT, SETTLED_GAUSS_NEWTON) * scale[active]
        gain = (objective[active] - trial_objective) / np.maximum(objective[active], np.finfo(float).tiny)
        taken = active[better]
        theta[taken], residuals[taken] = trial[better], trial_residuals[better]
        objective[taken] = trial_objective[better]
        count[active] += 1
        converged[active] = settled & (better | (decrease <= rounding))
        stuck = ~better & (damping[active] >= LARGEST_DAMPING)
        exact[active] = better & ((gain < NEAR) | exact[active])
        easier = np.where(exact[active], 0.01, 0.1)
        damping[active] = np.where(better, damping[active] * easier, np.maximum(damping[active] * 10, 1e-6))
        active = active[~(converged[active] | stuck)]
    return Minimum(theta, objective, residuals, converged, count)


def _sum_of_squares(problem: Problem) -> Array:
    total = np.maximum(problem.weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    mean = (problem.weights * problem.losses).sum(axis=1, keepdims=True) / total
    squares: Array = (problem.weights * (problem.losses - mean) ** 2).sum(axis=1)
    return np.maximum(squares, 1e-24 * (total * mean**2)[:, 0])


def _step(
    curve: Curve, problem: Problem, theta: Array, residuals: Array, damping: Array, exact: Mask
) -> tuple[Array, Array]:
    """The damped step (B, p) and the decrease (B,) that the undamped quadratic model promises for it."""
    slopes = curve.slopes(theta)
    weights = problem.robust_weights(residuals)
    away = theta - problem.centre
    descent = np.einsum("bnp,bn->bp", slopes, weights * residuals) - np.einsum("bpq,bq->bp", problem.precision, away)
    matrix = np.matmul((slopes * weights[:, :, None]).transpose(0, 2, 1), slopes) + problem.precision
    ridge = np.einsum("bpp->bp", matrix)
    if exact.any():
        matrix[exact] = _hessian(
            curve, problem.take(np.flatnonzero(exact)), theta[exact], residuals[exact], slopes[exact]
        )
    frozen = ((theta <= problem.lower) & (descent < 0)) | ((theta >= problem.upper) & (descent > 0))
    descent = np.where(frozen, 0.0, descent)
    matrix = np.where(frozen[:, :, None] | frozen[:, None, :], 0.0, matrix)
    diagonal = np.arange(theta.shape[1])
    floor = 1e-15 * ridge.max(axis=1, keepdims=True)
    matrix[:, diagonal, diagonal] += damping[:, None] * ridge + floor + np.finfo(float).tiny
    matrix[:, diagonal, diagonal] = np.where(frozen, 1.0, matrix[:, diagonal, diagonal])
    step: Array = np.linalg.solve(matrix, descent[:, :, None])[:, :, 0]
    decrease: Array = np.einsum("bp,bp->b", step, descent)
    return step, decrease


def _hessian(curve: Curve, problem: Problem, theta: Array, residuals: Array, slopes: Array) -> Array:
    """Half the second derivative of the objective, (B, p, p): Huber's function is flat beyond delta."""
    inside = problem.weights * (np.abs(residuals) <= problem.huber[:, None])
    squares = np.matmul((slopes * inside[:, :, None]).transpose(0, 2, 1), slopes)
    hessian: Array = squares - curve.bend(theta, problem.robust_weights(residuals) * residuals) + problem.precision
    return hessian
