"""Fit a law's parameters under priors whose strength the data decide: most probable parameters, noise from evidence.

A prior theta ~ N(m, K^-1) adds sigma² (theta - m)' K (theta - m) to the sum of squares: its pull is measured in units of
the noise, so it decides where runs are few and fades where they are many or exact (with no noise it vanishes, and the
law is recovered to rounding). The noise is the fixed point of

    sigma² = sum_i clip(r_i, 2 sigma)² / (kappa (n - gamma)),    gamma = trace(A^-1 J' W J),   A = J' W J + sigma² K,

MacKay's (1992) evidence rule, with Huber's (1964) proposal 2 for the scale: residuals beyond 2 sigma count as 2 sigma,
and kappa = E[min(z², 4)] keeps the rule unbiased for normal noise. gamma counts the parameters the runs decide.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from mixlaw.laws.levenberg import Curve, Mask, Minimum, Problem, minimise
from mixlaw.mixture import Array

HUBER = 2.0
"""Delta of Huber's function in units of the noise: 95% of normal residuals are untouched, and 98.9% efficiency kept."""

KAPPA = float(
    2 * ndtr(HUBER) - 1 - 2 * HUBER * np.exp(-(HUBER**2) / 2) / np.sqrt(2 * np.pi) + 2 * HUBER**2 * ndtr(-HUBER)
)
"""E[min(z², HUBER²)] of a standard normal z."""

FIRST_NOISE = 0.1
"""Noise assumed while the starts compete, as a share of the losses' standard deviation."""

ROUNDS = 60
"""Most updates of the noise; the fixed point is usually met to 1e-10 in 5 to 15."""

SETTLED = 1e-10
"""Relative change of the noise at which its updates end."""

EXACT = 1e-11
"""Noise, as a share of the losses' standard deviation, below which the losses are exact: nothing but rounding is left."""


@dataclass(frozen=True)
class Prior:
    """Normal priors and bounds of a law's parameters, per target.

    Attributes:
        precision: (V, p, p) K, in units of 1 / parameter².
        centre: (V, p) m.
        lower, upper: (V, p) bounds.
    """

    precision: Array
    centre: Array
    lower: Array
    upper: Array


@dataclass(frozen=True)
class Posterior:
    """Most probable parameters of each target, and what is left over.

    Attributes:
        theta: (V, p).
        noise: (V,) standard deviation of a residual, nats per token.
        freedom: (V,) n - gamma, at least 1.
        weights: (n, V) Huber's weights in [0, 1], 0 where not measured.
        precision: (V, p, p) noise² K, and a large number where a parameter is held by its bound.
        objective: (V,) minimised sum of Huber's function and penalty, nats².
        at_bound: (V, p) whether a bound holds the parameter.
        converged: (V,).
    """

    theta: Array
    noise: Array
    freedom: Array
    weights: Array
    precision: Array
    objective: Array
    at_bound: Mask
    converged: Mask


def most_probable(curve: Curve, starts: Array, losses: Array, prior: Prior, weights: Array | None = None) -> Posterior:
    """Fit every target from its best start.

    Args:
        curve: the law over the measured mixtures.
        starts: (S, V, p) parameters to start from.
        losses: (n, V) nats per token, NaN where not measured.
        prior: of the parameters.
        weights: (n, V) importance of each run, 1 if not given.
    """
    measured = np.isfinite(losses).T
    importance = np.where(measured, 1.0 if weights is None else weights.T, 0.0)
    count = importance.sum(axis=1)
    mean = np.nansum(importance * np.nan_to_num(losses.T), axis=1) / count
    filled = np.where(measured, losses.T, mean[:, None])
    spread = np.sqrt((importance * (filled - mean[:, None]) ** 2).sum(axis=1) / count)
    spread = np.maximum(spread, 1e-12 * np.abs(mean))
    noise = FIRST_NOISE * spread
    problem = _problem(filled, importance, noise, prior)
    theta = _best_start(curve, starts, problem)
    for _ in range(ROUNDS):
        problem = _problem(filled, importance, noise, prior)
        minimum = minimise(curve, theta, problem)
        theta = minimum.theta
        decided = _decided(curve, problem, minimum)
        clipped = np.minimum(np.abs(minimum.residuals), problem.huber[:, None])
        update = np.sqrt((importance * clipped**2).sum(axis=1) / (KAPPA * np.maximum(count - decided, 1e-6 * count)))
        update = np.clip(update, EXACT * spread, 10 * spread)
        change, noise = np.abs(np.log(update / noise)), update
        if np.all((change < SETTLED) | (noise <= EXACT * spread)):
            break
    return _posterior(curve, minimum, _problem(filled, importance, noise, prior), noise, count - decided)


def _problem(losses: Array, importance: Array, noise: Array, prior: Prior) -> Problem:
    precision = noise[:, None, None] ** 2 * prior.precision
    return Problem(losses, importance, HUBER * noise, precision, prior.centre, prior.lower, prior.upper)


def _best_start(curve: Curve, starts: Array, problem: Problem) -> Array:
    """(V, p) where the best of the starts leads in a few steps; the first of those that tie."""
    count, targets, _ = starts.shape
    each = problem.take(np.tile(np.arange(targets), count))
    reached = minimise(curve, starts.reshape(count * targets, -1), each, iterations=25)
    best = np.argmin(reached.objective.reshape(count, targets), axis=0)
    return reached.theta.reshape(starts.shape)[best, np.arange(targets)]


def _decided(curve: Curve, problem: Problem, minimum: Minimum) -> Array:
    """(V,) gamma: how many parameters the runs rather than the prior and the bounds decide."""
    slopes = curve.slopes(minimum.theta) * np.sqrt(problem.robust_weights(minimum.residuals))[:, :, None]
    free = ~_held(problem, minimum.theta)
    slopes = slopes * free[:, None, :]
    normal = np.matmul(slopes.transpose(0, 2, 1), slopes)
    scale = np.sqrt(np.maximum(np.einsum("bpp->bp", normal), np.finfo(float).tiny))
    outer = scale[:, :, None] * scale[:, None, :]
    penalty = problem.precision * (free[:, :, None] & free[:, None, :]) / outer
    # Scaled to a unit diagonal; 1e-13 keeps directions that neither runs nor prior decide from being counted.
    matrix = normal / outer + penalty + 1e-13 * np.eye(normal.shape[1])
    gamma: Array = np.einsum("bpp->b", np.linalg.solve(matrix, normal / outer))
    return gamma


def _held(problem: Problem, theta: Array) -> Mask:
    held: Mask = (theta <= problem.lower) | (theta >= problem.upper)
    return held


def _posterior(curve: Curve, minimum: Minimum, problem: Problem, noise: Array, freedom: Array) -> Posterior:
    held = _held(problem, minimum.theta)
    weights = problem.robust_weights(minimum.residuals)
    strength = 1e6 * np.einsum("bn,bnp->bp", weights, curve.slopes(minimum.theta) ** 2)
    precision = problem.precision.copy()
    diagonal = np.arange(precision.shape[1])
    precision[:, diagonal, diagonal] += np.where(held, strength, 0.0)
    return Posterior(
        theta=minimum.theta,
        noise=noise,
        freedom=np.maximum(freedom, 1.0),
        weights=weights.T,
        precision=precision,
        objective=minimum.objective,
        at_bound=held,
        converged=minimum.converged,
    )
