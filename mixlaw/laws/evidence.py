"""Fit a law's parameters under priors whose strength the data decide: most probable parameters, noise from evidence.

Two kinds of prior knowledge, both measured in units of the noise, so that they decide where runs are few and fade where
runs are many or exact (with no noise they vanish, and a law is recovered to rounding):

- parameters theta ~ N(m, K^-1) add sigma² (theta - m)' K (theta - m) to the sum of squares;
- anchors, mixtures that were not trained but whose loss is roughly known, add sigma² / s² (loss - f)² each.

The noise is the fixed point of

    S / sigma² = n - gamma + log(sigma / s0) / t²,   S = sum_i clip(r_i, 2 sigma)² / kappa,
    gamma = trace(A^-1 J' W J),   A = J' W J + sigma² K,

MacKay's (1992) evidence rule, with Huber's (1964) proposal 2 for the scale: residuals beyond 2 sigma count as 2 sigma,
and kappa = E[min(z², 4)] keeps the rule unbiased for normal noise; up to a fifth of the runs may have diverged without
passing for noise. gamma counts the parameters the runs decide. The last term is a prior, log sigma ~ N(log s0, t²),
worth about one run: without it a law with more parameters than runs passes through all of them and is sure of itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, wrightomega

from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.laws.levenberg import Curve, Mask, Minimum, Problem, minimise
from mixlaw.laws.measured import Measured
from mixlaw.mixture import Array

CLIP = 2.0
"""Residuals beyond this many times the noise count as that, in the rule for the noise."""

KAPPA = float(2 * ndtr(CLIP) - 1 - CLIP * np.sqrt(2 / np.pi) * np.exp(-(CLIP**2) / 2) + 2 * CLIP**2 * ndtr(-CLIP))
"""E[min(z², CLIP²)] of a standard normal z."""

NOISE, NOISE_SPREAD = 0.1, 1.0
"""Noise before the runs are seen, as a share of the losses' standard deviation, and the standard deviation of its
logarithm: laws of published swarms leave 0.06 to 0.3 of it, their targets a factor e^0.3 to e^0.8 more or less."""

START_STEPS = 12
"""Steps each start is given before the best is kept."""

EXACT_STEPS = ((0.3, 30), (0.01, 200))
"""Exact agreement without the prior is looked for where the misfit is within a share of the losses' standard deviation,
with so many steps; again where the first steps came close."""

ROUNDS = 80
"""Most updates of the noise; the fixed point is usually met in 5 to 12."""

SETTLED = 1e-11
"""Relative change of the noise at which its updates end."""

EXACT = 1e-11
"""Noise, as a share of the losses' standard deviation, at which losses count as exact: only rounding is left."""

VANISHED, SPENT = 1e-5, 0.1
"""Noise, as a share of the losses' standard deviation, and freedom below which there is none of either: the runs decide
as many parameters as they are, and what n - gamma comes to is rounding, its matrix being singular but for 1e-13."""

NOTHING = 1e-200
"""Square of a slope below which a parameter has no effect: it has run off to where exponentials vanish."""

CONSTANT = 1e-12
"""Standard deviation of losses, nats, below which they are all the same."""


@dataclass(frozen=True)
class Prior:
    """What is known of a law's parameters before the runs, per target.

    Attributes:
        precision: (V, p, p) K, in units of 1 / parameter².
        centre: (V, p) m.
        lower, upper: (V, p) bounds.
        anchors: (V, k) rough losses at the last k rows of the curve, nats per token.
        anchor_spread: (V, k) standard deviation of the anchors, nats per token.
    """

    precision: Array
    centre: Array
    lower: Array
    upper: Array
    anchors: Array
    anchor_spread: Array


@dataclass(frozen=True)
class Posterior:
    """Most probable parameters of each target, and what is left over.

    Attributes:
        theta: (V, p).
        noise: (V,) standard deviation of a residual, nats per token.
        freedom: (V,) n - gamma, at least 1.
        weights: (n, V) Huber's weights in [0, 1], 0 where not measured.
        precision: (V, p, p) what priors and anchors add to J' W J, and a large number where a bound holds a parameter.
        objective: (V,) minimised sum of Huber's function and penalties, nats².
        held: (V, p) whether a bound holds the parameter.
        deviation: (V, p) standard deviation of each parameter; 0 where a bound holds it.
        lower: (V, p) lower bounds.
        converged: (V,).
    """

    theta: Array
    noise: Array
    freedom: Array
    weights: Array
    precision: Array
    objective: Array
    held: Mask
    deviation: Array
    lower: Array
    converged: Mask

    def reaches_lower(self, parameter: int) -> Mask:
        """(V,) whether the runs cannot tell a parameter from its lower bound: it is there, or within two deviations."""
        below = self.theta[:, parameter] - 2 * self.deviation[:, parameter] <= self.lower[:, parameter]
        return np.asarray(below)

    def fit(self, law: MixingLaw, runs: Measured, said: Sequence[Sequence[str]] | None = None) -> MixingFit:
        """The fit of a law with these parameters, with what is to be said (V sequences) about each target."""
        notes: dict[str, tuple[str, ...]] = {}
        for number, target in enumerate(law.targets):
            lines = [] if self.converged[number] else ["not converged: a step worth taking was left"]
            lines += said[number] if said else []
            if lines:
                notes[target] = tuple(lines)
        return MixingFit(
            law=law,
            noise=self.noise,
            freedom=self.freedom,
            weights=runs.spread(self.weights),
            prior=self.precision,
            objective=self.objective,
            notes=notes,
        )


def most_probable(curve: Curve, starts: Array, losses: Array, prior: Prior, huber: float) -> Posterior:
    """Fit every target from its best start.

    Args:
        curve: the law over the measured mixtures, then over the anchors' mixtures.
        starts: (S, V, p) parameters to start from.
        losses: (n, V) nats per token, NaN where not measured.
        prior: of the parameters.
        huber: delta of Huber's function in units of the noise; infinite means plain squares.
    """
    frame = _Frame.of(losses, prior, huber)
    theta, noise = _best_start(curve, starts, frame)
    exact, targets = noise <= EXACT * frame.spread, len(noise)
    objective, freedom, converged = np.empty(targets), np.empty(targets), np.zeros(targets, dtype=bool)
    residuals = np.empty((targets, frame.losses.shape[1]))
    fixed_point = _FixedPoint.fresh(noise)
    active = np.arange(targets)
    for round_ in range(ROUNDS):
        part = frame.take(active)
        problem = part.problem(noise[active])
        minimum = minimise(curve, theta[active], problem, near=round_ > 0)
        theta[active], residuals[active] = minimum.theta, minimum.residuals
        objective[active], converged[active] = minimum.objective, minimum.converged
        freedom[active] = part.count - _decided(curve, problem, minimum, part.runs)
        update = part.noise(noise[active], minimum.residuals, freedom[active])
        noise[active], settled = fixed_point.step(active, update, part.spread)
        active = active[~settled]
        if not len(active):
            break
    converged[active] = False
    freedom = np.where(~exact & (noise < VANISHED * frame.spread) & (freedom < SPENT), 0.0, freedom)
    noise = np.where(exact, noise, frame.spread * believed(noise / frame.spread, freedom))
    end = Minimum(theta, objective, residuals, converged, np.zeros(targets, dtype=np.intp))
    return _posterior(curve, end, frame.problem(noise), noise, freedom, frame.runs)


@dataclass(frozen=True)
class _Frame:
    """The problem but for its noise: runs first, then anchors."""

    losses: Array  # (V, n + k)
    measured: Mask  # (V, n)
    spread: Array  # (V,)
    prior: Prior
    huber: float

    @classmethod
    def of(cls, losses: Array, prior: Prior, huber: float) -> "_Frame":
        measured = np.isfinite(losses).T
        count = measured.sum(axis=1)
        mean = np.nansum(losses, axis=0) / count
        filled = np.where(measured, losses.T, mean[:, None])
        spread = np.sqrt(((filled - mean[:, None]) ** 2).sum(axis=1) / count)
        return cls(np.hstack([filled, prior.anchors]), measured, np.maximum(spread, CONSTANT), prior, huber)

    def take(self, which: "NDArray[np.intp]") -> "_Frame":
        prior = replace(self.prior, **{name: getattr(self.prior, name)[which] for name in Prior.__dataclass_fields__})
        return replace(
            self, losses=self.losses[which], measured=self.measured[which], spread=self.spread[which], prior=prior
        )

    @property
    def runs(self) -> int:
        return int(self.measured.shape[1])

    @property
    def count(self) -> Array:
        """(V,) how many runs measured each target."""
        count: Array = self.measured.sum(axis=1).astype(np.float64)
        return count

    def problem(self, noise: Array, huber: float | None = None) -> Problem:
        delta = np.where(self.measured, (self.huber if huber is None else huber) * noise[:, None], np.inf)
        return Problem(
            losses=self.losses,
            weights=np.hstack([self.measured, (noise[:, None] / self.prior.anchor_spread) ** 2]),
            huber=np.hstack([delta, np.full(self.prior.anchors.shape, np.inf)]),
            precision=noise[:, None, None] ** 2 * self.prior.precision,
            centre=self.prior.centre,
            lower=self.prior.lower,
            upper=self.prior.upper,
        )

    def error(self, residuals: Array) -> Array:
        """(V,) root mean square of the runs' residuals."""
        mean: Array = (self.measured * residuals[:, : self.runs] ** 2).sum(axis=1) / self.count
        return np.sqrt(mean)

    def typical(self, residuals: Array) -> Array:
        """(V,) standard deviation that normal residuals with this median size would have."""
        sizes = np.where(self.measured, np.abs(residuals[:, : self.runs]), np.nan)
        return 1.4826 * np.nanmedian(sizes, axis=1)

    def noise(self, noise: Array, residuals: Array, freedom: Array) -> Array:
        """(V,) the right-hand side of the rule for the noise."""
        clipped = np.minimum(np.abs(residuals[:, : self.runs]), CLIP * noise[:, None])
        squares = (self.measured * clipped**2).sum(axis=1)
        update = np.sqrt(squares / (KAPPA * np.maximum(freedom, 1e-9 * self.count)))
        bounded: Array = np.clip(update, EXACT * self.spread, 10 * self.spread)
        return bounded


@dataclass
class _FixedPoint:
    """The noise's fixed point, by the secant method on its logarithm, each target on its own."""

    at: Array
    last_at: Array
    last_change: Array

    @classmethod
    def fresh(cls, noise: Array) -> "_FixedPoint":
        return cls(np.log(noise), np.full(len(noise), np.nan), np.full(len(noise), np.nan))

    def step(self, active: "NDArray[np.intp]", update: Array, spread: Array) -> tuple[Array, Mask]:
        """The next noise to try, and whether the last one was the fixed point."""
        at = self.at[active]
        change = np.log(update) - at
        moved = at - self.last_at[active]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(moved != 0, 1 + (change - self.last_change[active]) / moved, 0.0)
        # Far from the fixed point, and where the noise is vanishing, the plain rule is kept.
        usable = np.isfinite(rate) & (np.abs(change) < 0.5) & (np.abs(rate) < 0.9)
        self.last_at[active], self.last_change[active] = at, change
        settled = (np.abs(change) < SETTLED) | (update <= EXACT * spread)
        self.at[active] = np.where(settled, at, at + change / (1 - np.where(usable, rate, 0.0)))
        return np.exp(self.at[active]), settled


def believed(plain: Array, freedom: Array) -> Array:
    """What the prior makes of noise estimated with some freedom, both (V,); noises as shares of the losses' deviation.

    With u = log(noise / plain) the rule is k (exp(-2 u) - 1) = u + d for k = freedom t² and d = log(plain / s0), which
    Wright's omega function solves; a Newton step gives back the digits that a large k costs it.
    """
    plain = np.maximum(plain, np.finfo(float).tiny)
    worth, off = np.maximum(freedom, 1e-9) * NOISE_SPREAD**2, np.log(plain / NOISE)
    moved = wrightomega(np.log(2 * worth) + 2 * (off + worth)) / 2 - off - worth
    moved += (worth * np.expm1(-2 * moved) - moved - off) / (2 * worth * np.exp(-2 * moved) + 1)
    believed: Array = plain * np.exp(moved)
    return believed


def _best_start(curve: Curve, starts: Array, frame: _Frame) -> tuple[Array, Array]:
    """Where the best of the starts leads in a few robust steps, (V, p); the first of those that tie.

    With it the noise (V,) to begin with: from above (twice what the median residual tells, as if half the freedom were
    spent), or,
    where more runs than parameters agree with the law to rounding, none. That cannot be chance, and a prior that is far
    off must not hide it.
    """
    count, targets, parameters = starts.shape
    each = frame.problem(NOISE * frame.spread, huber=CLIP).take(np.tile(np.arange(targets), count))
    reached = minimise(curve, starts.reshape(count * targets, parameters), each, iterations=START_STEPS)
    best = np.argmin(reached.objective.reshape(count, targets), axis=0)
    chosen = best * targets + np.arange(targets)
    theta, error = reached.theta[chosen], frame.error(reached.residuals[chosen])
    noise = np.maximum(2 * frame.typical(reached.residuals[chosen]), EXACT * frame.spread)
    near = theta.copy()
    for within, steps in EXACT_STEPS:
        close = np.flatnonzero((frame.count > parameters) & (error < within * frame.spread))
        if not len(close):
            break
        part = frame.take(close)
        bare = minimise(curve, near[close], part.problem(EXACT * part.spread, huber=np.inf), iterations=steps)
        near[close], error[close] = bare.theta, part.error(bare.residuals)
    exact = error < 1e-8 * frame.spread
    return np.where(exact[:, None], near, theta), np.where(exact, EXACT * frame.spread, noise)


def _decided(curve: Curve, problem: Problem, minimum: Minimum, runs: int) -> Array:
    """(V,) gamma: how many parameters the runs rather than the priors and the bounds decide."""
    free = ~_held(problem, minimum.theta)
    slopes = curve.slopes(minimum.theta) * np.sqrt(problem.robust_weights(minimum.residuals))[:, :, None]
    slopes = slopes * free[:, None, :]
    measured = slopes[:, :runs]
    normal = np.matmul(measured.transpose(0, 2, 1), measured)
    matrix = np.matmul(slopes.transpose(0, 2, 1), slopes)
    matrix += problem.precision * (free[:, :, None] & free[:, None, :])
    scale = _unit_scale(matrix)
    outer = scale[:, :, None] * scale[:, None, :]
    # Scaled to a unit diagonal; 1e-13 keeps directions that neither runs nor prior decide from being counted.
    gamma: Array = np.einsum(
        "bpp->b", np.linalg.solve(matrix * outer + 1e-13 * np.eye(matrix.shape[1]), normal * outer)
    )
    return gamma


def _held(problem: Problem, theta: Array) -> Mask:
    held: Mask = (theta <= problem.lower) | (theta >= problem.upper)
    return held


def _posterior(curve: Curve, minimum: Minimum, problem: Problem, noise: Array, freedom: Array, runs: int) -> Posterior:
    held = _held(problem, minimum.theta)
    weights = problem.robust_weights(minimum.residuals)
    slopes = curve.slopes(minimum.theta)
    anchored = slopes[:, runs:] * np.sqrt(weights[:, runs:])[:, :, None]
    precision = problem.precision + np.matmul(anchored.transpose(0, 2, 1), anchored)
    measured = slopes[:, :runs] * np.sqrt(weights[:, :runs])[:, :, None]
    normal = np.matmul(measured.transpose(0, 2, 1), measured)
    strength = 1e6 * np.einsum("bpp->bp", normal)
    diagonal = np.arange(precision.shape[1])
    precision[:, diagonal, diagonal] += np.where(held, strength, 0.0)
    deviation = noise[:, None] * _root_of_inverse(normal + precision)
    return Posterior(
        theta=minimum.theta,
        noise=noise,
        freedom=np.maximum(freedom, 1.0),
        weights=weights[:, :runs].T,
        precision=precision,
        objective=minimum.objective,
        held=held,
        deviation=np.where(held, 0.0, deviation),
        lower=problem.lower,
        converged=minimum.converged,
    )


def _root_of_inverse(matrix: Array) -> Array:
    """Square roots of the diagonal of the inverse of symmetric positive semidefinite matrices (B, p, p)."""
    scale = _unit_scale(matrix)
    scaled = matrix * scale[:, :, None] * scale[:, None, :] + 1e-13 * np.eye(matrix.shape[1])
    variance = np.einsum("bpp->bp", np.linalg.inv(scaled)) * scale**2
    root: Array = np.sqrt(np.maximum(variance, 0.0))
    return root


def _unit_scale(matrix: Array) -> Array:
    """(B, p) factors that give symmetric matrices a unit diagonal; 1 where the diagonal is as good as 0."""
    size = np.einsum("bpp->bp", matrix)
    factors: Array = 1 / np.sqrt(np.where(size > NOTHING, size, 1.0))
    return factors
