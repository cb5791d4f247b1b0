"""Robust least squares of formulas in mixture, size and tokens, and the covariance of what it finds."""

import numpy as np

from mixlaw.laws.levenberg import Curve, Problem, minimise
from mixlaw.mixture import Array
from mixlaw.surfaces.curves import Index

HUBER = 2.0
"""Delta of Huber's function in units of the noise: 95% of normal residuals are untouched."""

FIRST_NOISE = 0.1
"""Noise assumed while the starts compete, as a share of the losses' standard deviation."""

TRIAL_STEPS = 25
"""Steps each start is followed for before the best one is followed to the end."""

PASSES = 3
"""Fits to the end; each takes the noise, hence the weight of priors and outliers, from the residuals of the last."""

EXTENSIONS = 5
"""How often the last pass may go on; flat valleys of the joint law take hundreds of steps."""


def robust_fit(
    curve: Curve, starts: Array, losses: Array, prior: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array]:
    """Least squares from every start (V, S, p), then the best one under Huber's function and the priors.

    The noise of each pass is the robust spread of the residuals of the pass before; the last pass goes on until no step
    is worth taking.

    Returns:
        theta (V, p), and whether each target's fit ended (V,).
    """
    targets, count, size = starts.shape
    measured = np.isfinite(losses.T)
    filled = np.where(measured, losses.T, 0.0)
    precision, centre, lower, upper = (np.repeat(array[None], targets, axis=0) for array in prior)
    upper[:, 0] = np.nanmin(losses, axis=0)

    def problem(noise: Array, huber: Array) -> Problem:
        weighted = precision * noise[:, None, None] ** 2
        return Problem(
            filled,
            measured.astype(float),
            np.repeat(huber[:, None], filled.shape[1], axis=1),
            weighted,
            centre,
            lower,
            upper,
        )

    spread = np.nanstd(losses, axis=0)
    trial = problem(FIRST_NOISE * spread, np.full(targets, np.inf)).take(np.repeat(np.arange(targets), count))
    reached = minimise(curve, starts.reshape(-1, size), trial, iterations=TRIAL_STEPS)
    best = np.argmin(reached.objective.reshape(targets, count), axis=1) + count * np.arange(targets)
    theta, residuals = reached.theta[best], reached.residuals[best]
    for _ in range(PASSES):
        noise = np.maximum(_robust_spread(residuals, measured, size), 1e-9 * spread)
        found = minimise(curve, theta, problem(noise, HUBER * noise))
        theta, residuals = found.theta, found.residuals
    for _ in range(EXTENSIONS):
        if found.converged.all():
            break
        found = minimise(curve, found.theta, problem(noise, HUBER * noise))
    return found.theta, found.converged.astype(float)


def clustered_covariance(slopes: Array, residuals: Array, run: Index, precision: Array) -> Array:
    """Covariance (V, p, p) of least-squares parameters whose errors go together within a run (Liang & Zeger 1986).

    A run with a hundred checkpoints is one run: its residuals are summed, weighted with the slopes, before they are
    squared. The priors hold what no run decides, in units of the noise, and leave it as unsure as they are.

    Args:
        slopes: (V, n, p) derivatives of the predictions.
        residuals: (n, V), NaN where not measured.
        run: (n,) the run of each row.
        precision: (p, p) of the priors.
    """
    known = np.isfinite(residuals.T)
    kept = np.where(known[:, :, None], slopes, 0.0)
    left = np.where(known, residuals.T, 0.0)
    noise = (left**2).sum(axis=1) / np.maximum(known.sum(axis=1) - slopes.shape[2], known.sum(axis=1) / 3)
    normal = np.matmul(kept.transpose(0, 2, 1), kept) + noise[:, None, None] * precision
    runs = int(run.max()) + 1
    summed = np.zeros((runs, len(left), slopes.shape[2]))
    np.add.at(summed, run, (kept * left[:, :, None]).transpose(1, 0, 2))
    meat = np.einsum("rvp,rvq->vpq", summed, summed) * runs / max(runs - 1, 1)
    scale = np.sqrt(np.maximum(np.einsum("vpp->vp", normal), np.finfo(float).tiny))
    outer = scale[:, :, None] * scale[:, None, :]
    inverse = np.linalg.pinv(normal / outer, rcond=1e-10, hermitian=True) / outer
    meat += noise[:, None, None] ** 2 * precision
    covariance: Array = np.matmul(inverse, np.matmul(meat, inverse))
    return covariance


def _robust_spread(residuals: Array, measured: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", used: int) -> Array:
    """(V,) standard deviation from the median size of the measured residuals, with `used` parameters spent."""
    middle = np.array([np.median(np.abs(row[known])) for row, known in zip(residuals, measured, strict=True)])
    count = measured.sum(axis=1)
    spread: Array = 1.4826 * middle * np.sqrt(count / np.maximum(count - used, count / 3))
    return spread
