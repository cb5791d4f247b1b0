"""The exponential mixing law of Ye et al. (2024, arXiv 2403.16952): the paper's M4."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import Posterior, Prior, most_probable
from mixlaw.laws.growth import CEILING, growth
from mixlaw.laws.levenberg import Curve, Mask, Problem, minimise
from mixlaw.laws.measured import distinct_runs
from mixlaw.laws.vertices import ranges, vertex_spread, worst
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3
"""Two domains have three parameters; with more domains the prior decides what is left open, and the fit says so."""

HUBER = 7.0
"""Runs further off than this many times the noise are down-weighted: diverged ones. What the exponential law leaves
over on real runs is misfit rather than outliers; at 2 it would give up on the runs it cannot describe, and predict no
better (held-out error within 2% on four published tables)."""

VERTEX_SPREAD = 1.0
"""Each domain alone is taken to lose as much as the worst run, give or take this many ranges of the losses at as many
runs as parameters; with more runs the spread grows, so that the law fades into the paper's plain least squares."""

VERTEX_FADING = 1.5
"""Power of runs per parameter by which that spread grows."""

GAPS = 24
"""Irreducible losses tried, geometrically between the narrowest and the widest gap below the smallest loss."""

WITHIN = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6)
"""Irreducible losses tried above the smallest loss, in ranges of the losses: on targets that are mostly noise the best
law may be flat there."""

NARROWEST_GAP, WIDEST_GAP = 0.02, 50.0
"""Bounds of the largest loss minus the irreducible loss, in ranges of the losses; at 50 the law is linear to 1%."""

STEEPEST = 5000.0
"""Bound of a slope dloss/dr_j at the worst run, in ranges of the losses: where the first trace of a domain removes all
it can, the best slope is infinite, and the bound keeps it a number."""

LEAST_KNOWN = 20.0
"""Standard deviation, for intervals alone, of each exponent u_j, and of kappa as a multiple of itself or of 1 / range:
where exp(u . r) has faded at a vertex, or all runs are of one domain each, nothing decides them, and slopes do not tell
what changes so large as that would do elsewhere."""

UNBOUNDED = 40.0
"""Slope, as t_j of exp(t . r) less their mean, beyond which the fit says that a direction is unbounded."""


@dataclass(frozen=True)
class Exponential(MixingLaw):
    """loss(r) = c + exp(u . r), with one irreducible loss c and M exponents u per target.

    The paper writes c + k exp(t . r); on the simplex k e^a and t - a are the same law, so k and t are not separate
    parameters: u_j = log k + t_j is all that runs can tell, and c + exp(u_j) is the loss of training on domain j alone.
    Convex in the mixture. Fitted by a grid over c, a weighted log-linear start and batched Levenberg-Marquardt, with a
    rough guess of each domain's own loss c + exp(u_j) that decides where runs are few and vanishes with the noise.

    Attributes:
        irreducible: (V,) c, nats per token.
        exponents: (V, M) u.
        worst: (V,) largest loss measured, at which the free parameters are taken.
    """

    irreducible: Array
    exponents: Array
    worst: Array

    kind: ClassVar[str] = "exponential"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        count, top = runs.proportions.shape[1], worst(runs.losses)
        curve = ExponentialCurve(np.vstack([runs.proportions, np.eye(count)]))
        starts = _to_curve(exponential_starts(runs.proportions, runs.losses), top)
        starts[:, :, 1:] = np.minimum(starts[:, :, 1:], 3 * ranges(runs.losses)[:, None])
        found = most_probable(curve, starts, runs.losses - top, _prior(count, runs.losses), HUBER)
        kappa = found.theta[:, :1]
        law = cls(domains, targets, top - 1 / kappa[:, 0], kappa * found.theta[:, 1:] - np.log(kappa), top)
        return _least_known(found, ranges(runs.losses)).fit(law, runs, _said(domains, found))

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        return self.irreducible + np.exp(proportions @ self.exponents.T)

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): exp(u . r) u."""
        return np.exp(self.exponents @ proportions)[:, None] * self.exponents

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian sum_v weight_v exp(u_v . r) u_v u_v', as its root."""
        root = np.sqrt(weights * np.exp(self.exponents @ proportions))[:, None] * self.exponents
        return Curvature(root, np.zeros(len(self.domains)))

    @property
    def convex(self) -> Mask:
        """Always: an exponential of a linear function."""
        return np.ones(len(self.targets), dtype=bool)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in the free parameters of `ExponentialCurve`: shape (V, n, M + 1)."""
        theta = _to_curve(np.column_stack([self.irreducible, self.exponents]), self.worst)
        return ExponentialCurve(proportions).slopes(theta)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """M + 1: c and u."""
        return domain_count + 1

    def paper_constants(self) -> tuple[Array, Array]:
        """k (V,) and t (V, M) of c + k exp(t . r), with the convention that t has mean 0 over domains."""
        mean = self.exponents.mean(axis=1, keepdims=True)
        return np.exp(mean[:, 0]), self.exponents - mean


@dataclass(frozen=True)
class ExponentialCurve(Curve):
    """y - top = (exp(kappa X q) - 1) / kappa for theta = (kappa, q), over rows X (n, M).

    The same law as c + exp(X u), with c = top - 1 / kappa and u = kappa q - log kappa, where `top` is the largest loss
    measured. Unlike (c, u) it has no curved valley where the law is nearly linear: kappa -> 0 is the linear law.
    """

    rows: Array

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        return np.expm1(self._power(theta)) / theta[:, :1]

    def slopes(self, theta: Array) -> Array:
        """(B, n, 1 + M)."""
        power = self._power(theta)
        _, first, _ = growth(power)
        by_kappa = (power / theta[:, :1]) ** 2 * first
        return np.concatenate([by_kappa[:, :, None], np.exp(power)[:, :, None] * self.rows], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, 1 + M, 1 + M)."""
        power, kappa = self._power(theta), theta[:, :1]
        _, _, second = growth(power)
        grown = pull * np.exp(power)
        bend = np.empty((len(theta), theta.shape[1], theta.shape[1]))
        bend[:, 0, 0] = (pull * (power / kappa) ** 3 * second).sum(axis=1)
        bend[:, 0, 1:] = bend[:, 1:, 0] = (grown * power / kappa) @ self.rows
        weighted = self.rows * (kappa * grown)[:, :, None]
        bend[:, 1:, 1:] = np.matmul(weighted.transpose(0, 2, 1), self.rows)
        return bend

    def _power(self, theta: Array) -> Array:
        """kappa X q, (B, n)."""
        return np.minimum(theta[:, :1] * (theta[:, 1:] @ self.rows.T), CEILING)


def by_huber(proportions: Array, losses: Array, delta: float) -> tuple[Array, Array, Array]:
    """Fit by the paper's objective alone: the sum of Huber's function of the residuals, with no guess beside the runs.

    Args:
        proportions: (n, M).
        losses: (n, V) nats per token, all measured.
        delta: of Huber's function, nats per token; 0.05 in the authors' code.

    Returns:
        Irreducible losses (V,), exponents (V, M), and what is left of the objective (V,), nats².
    """
    top, prior = worst(losses), _prior(proportions.shape[1], losses)
    starts = _to_curve(exponential_starts(proportions, losses), top)
    count, targets, parameters = starts.shape
    problem = Problem(
        losses=(losses - top).T,
        weights=np.ones_like(losses.T),
        huber=np.full_like(losses.T, delta),
        precision=np.zeros((targets, parameters, parameters)),
        centre=prior.centre,
        lower=prior.lower,
        upper=prior.upper,
    ).take(np.tile(np.arange(targets), count))
    reached = minimise(ExponentialCurve(proportions), starts.reshape(-1, parameters), problem)
    objective = reached.objective.reshape(count, targets)
    kappa, q = np.split(
        reached.theta.reshape(count, targets, parameters)[objective.argmin(axis=0), range(targets)], [1], 1
    )
    return top - 1 / kappa[:, 0], kappa * q - np.log(kappa), objective.min(axis=0)


def exponential_starts(rows: Array, losses: Array, ridge: float = 1e-6) -> Array:
    """Starts of each target, (3, V, 1 + M): where each is the best of its kind over a grid of irreducible losses.

    For a given c the law is linear in log(y - c), so one weighted solve (weights (y - c)^2, which undo the logarithm)
    gives u; what is left is the scalar c, and a grid over it is a global search. Kept are the best c below all losses,
    the best local minimum away from it, and the best c among the losses, where those below c count as just above it.
    """
    low, span = np.nanmin(losses, axis=0), ranges(losses)
    below = low - np.geomspace(NARROWEST_GAP, WIDEST_GAP, GAPS)[:, None] * span
    within = np.minimum(low + np.array(WITHIN)[:, None] * span, worst(losses) - NARROWEST_GAP * span)
    irreducible = np.concatenate([below, within])
    exponents, squares = _at_irreducible(rows, losses, irreducible, ridge)
    first, second = _two_dips(squares[:GAPS])
    third = GAPS + np.argmin(squares[GAPS:], axis=0)
    grid = np.concatenate([irreducible[:, :, None], exponents], axis=2)
    starts: Array = grid[np.stack([first, second, third]), np.arange(len(first))]
    return starts


def _at_irreducible(rows: Array, losses: Array, irreducible: Array, ridge: float) -> tuple[Array, Array]:
    """Exponents (G, V, M) for G irreducible losses of each target, and the sum of squares (G, V) that they leave."""
    measured, narrowest = np.isfinite(losses).T, NARROWEST_GAP * ranges(losses)[:, None]
    reducible = np.where(measured, losses.T, np.inf) - irreducible[:, :, None]
    logged = np.where(measured, np.maximum(reducible, narrowest), 1.0)
    weights = np.where(measured, logged**2, 0.0)
    normal = np.matmul((rows * weights[:, :, :, None]).swapaxes(2, 3), rows)
    domains = rows.shape[1]
    size = np.einsum("gvjj->gv", normal)[:, :, None, None] / domains
    normal += size * (ridge * (np.eye(domains) - 1 / domains) + 1e-12 * np.eye(domains))
    logs = (weights * np.log(logged)) @ rows
    exponents: Array = np.linalg.solve(normal, logs[:, :, :, None])[:, :, :, 0].astype(np.float64)
    error = np.where(measured, reducible - np.exp(exponents @ rows.T), 0.0)
    squares: Array = (error**2).sum(axis=2)
    return exponents, squares


def _two_dips(squares: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The lowest place of each column, and the lowest local minimum elsewhere, or the next best place without one."""
    padded = np.vstack([np.full(squares.shape[1], np.inf), squares, np.full(squares.shape[1], np.inf)])
    dips = (padded[1:-1] <= padded[:-2]) & (padded[1:-1] <= padded[2:])
    first = np.argmin(squares, axis=0)
    others = np.where(dips, squares, squares.max(axis=0) + squares)
    others[first, np.arange(len(first))] = np.inf
    return first, np.argmin(others, axis=0)


def _to_curve(theta: Array, top: Array) -> Array:
    """(c, u) -> (kappa, q), in the last axis."""
    kappa = 1 / (top[:, None] - theta[..., :1])
    return np.concatenate([kappa, (theta[..., 1:] + np.log(kappa)) / kappa], axis=-1)


def _prior(domains: int, losses: Array) -> Prior:
    """Each domain alone as bad as the worst run, roughly; wide bounds."""
    span, targets = ranges(losses), losses.shape[1]
    slopes = np.repeat(STEEPEST * span[:, None], domains, axis=1)
    return Prior(
        precision=np.zeros((targets, domains + 1, domains + 1)),
        centre=np.zeros((targets, domains + 1)),
        lower=np.column_stack([1 / (WIDEST_GAP * span), -slopes]),
        upper=np.column_stack([1 / (NARROWEST_GAP * span), slopes]),
        anchors=np.zeros((targets, domains)),
        anchor_spread=vertex_spread(losses, domains, VERTEX_SPREAD, VERTEX_FADING),
    )


def _least_known(found: Posterior, span: Array) -> Posterior:
    """The same fit, its parameters known to within `LEAST_KNOWN` at least; span (V,) in nats. It moves no parameter."""
    kappa, precision = found.theta[:, :1], found.precision.copy()
    scale = np.column_stack(
        [np.maximum(kappa, 1 / span[:, None]), np.repeat(1 / kappa, precision.shape[1] - 1, axis=1)]
    )
    every = np.arange(precision.shape[1])
    precision[:, every, every] += (found.noise[:, None] / (LEAST_KNOWN * scale)) ** 2
    return replace(found, precision=precision)


def _said(domains: tuple[str, ...], found: Posterior) -> list[list[str]]:
    """What is worth saying about each target."""
    said: list[list[str]] = []
    for theta, linear in zip(found.theta, found.reaches_lower(0), strict=True):
        slopes = theta[0] * (theta[1:] - theta[1:].mean())
        lines = ["irreducible loss not identified: the runs are as good as linear in the mixture"] if linear else []
        for domain, slope in zip(domains, slopes, strict=True):
            if abs(slope) > UNBOUNDED:
                reach = 1 / abs(slope)
                lines.append(f"unbounded direction: '{domain}' does all it can within a proportion of {reach:.2g}")
        said.append(lines)
    return said
