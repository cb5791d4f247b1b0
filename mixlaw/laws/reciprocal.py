"""The reciprocal power law of a mixture: what domains contribute adds up, and the loss falls with the sum."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import Prior, most_probable
from mixlaw.laws.growth import CEILING
from mixlaw.laws.levenberg import Curve, Mask
from mixlaw.laws.measured import distinct_runs
from mixlaw.laws.vertices import ranges, reach, worst
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3
"""As for the exponential law: priors decide what few runs leave open."""

OFFSET = 1e-4
"""Proportion that stands for none: below what any design samples on purpose, so that a domain left out has a finite
effect and the first trace of it a large one."""

HUBER = 2.0
"""Runs further off than this many times the noise are down-weighted: 95% of normal residuals are untouched."""

STRENGTH_SPREAD = 4.0
"""Standard deviation of log a_j about their mean: domains differ by e^4 in how much they help a target."""

EXPONENT, EXPONENT_SPREAD, SHARED_SPREAD = 0.4, 0.1, 1.0
"""Exponents g_j: exp(N(log 0.4, 1)) for all domains together, within which one domain differs by a factor e^±0.1."""

OUTER_SPREAD = 0.5
"""Standard deviation of log b about 0, where b = 1 is the additive law of Shukor et al. (2025)."""

VERTEX_LEVEL, VERTEX_SPREAD = 0.15, 0.45
"""Each domain alone loses this many ranges of the losses more than the worst run, give or take so many, both times how
many times farther out it lies than any run."""

GAP, GAP_SPREAD = 2.0, 0.8
"""Worst loss minus irreducible loss, in ranges of the losses: exp(N(log 2, 0.8)). Published swarms that decide it have
1 to 3.3 ranges. Without it a few runs are also fitted by an irreducible loss far down with all exponents near 1, a
linear law and a multiple of the mixture's entropy, which promises gains from mixing that no run has shown."""

NARROWEST_GAP, WIDEST_GAP = 0.02, 50.0
"""Bounds of the worst loss minus the irreducible loss, in ranges of the losses."""

SMALLEST_EXPONENT = 0.02
"""Lower bound of g_j; the upper one is 1, where the law stops being convex."""

START_EXPONENTS, START_GAPS = (0.25, 0.7), (0.2, 1.5)
"""Exponents, and gaps between smallest and irreducible loss in ranges of the losses, that the four starts combine."""

FARTHEST = 30.0
"""Bound of the logarithms of the strengths: far beyond what priors let pass, it only keeps numbers finite."""


@dataclass(frozen=True)
class Reciprocal(MixingLaw):
    """loss(r) = E + (sum_j a_j (r_j + eps)^g_j)^-b, with 0 < g_j <= 1, a_j > 0, b > 0.

    With b = 1 this is the mixture term of the additive law of Shukor et al. (2025, arXiv 2507.09404). New here: g <= 1,
    which makes it convex (a decreasing convex function of a concave sum) and predicts better; exponents shrunk towards
    a common value, vertex losses towards the worst run's; and the outer exponent b.

    Attributes:
        irreducible: (V,) E, nats per token.
        log_strengths: (V, M) log a.
        exponents: (V, M) g, in (0, 1].
        outer: (V,) b.
        offset: eps, the proportion that stands for none.
        worst: (V,) largest loss measured, at which the free parameters are taken.
    """

    irreducible: Array
    log_strengths: Array
    exponents: Array
    outer: Array
    offset: float
    worst: Array

    kind: ClassVar[str] = "reciprocal"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        count, top = runs.proportions.shape[1], worst(runs.losses)
        curve = ReciprocalCurve(np.log(np.vstack([runs.proportions, np.eye(count)]) + OFFSET))
        starts = _starts(np.log(runs.proportions + OFFSET), runs.losses)
        found = most_probable(curve, starts, runs.losses - top, _prior(runs.proportions, runs.losses), HUBER)
        law = cls._at(domains, targets, found.theta, top)
        unknown = found.deviation[:, 0] > np.sqrt(0.5) * GAP_SPREAD
        unidentified = ["irreducible loss not identified: the prior decides it more than the runs"]
        return found.fit(law, runs, [unidentified if each else [] for each in unknown])

    @classmethod
    def _at(cls, domains: tuple[str, ...], targets: tuple[str, ...], theta: Array, top: Array) -> Self:
        """The law with free parameters theta (V, 2 M + 2) of `ReciprocalCurve`."""
        count = len(domains)
        steepness, outer = theta[:, 0], np.exp(theta[:, 0] + theta[:, -1])
        strengths = theta[:, 1 : count + 1] + (steepness / outer)[:, None]
        exponents = np.exp(theta[:, count + 1 : -1])
        return cls(domains, targets, top - np.exp(-steepness), strengths, exponents, outer, OFFSET, top)

    @property
    def _theta(self) -> Array:
        """Free parameters (V, 2 M + 2) of `ReciprocalCurve`; the inverse of `_at`."""
        steepness = -np.log(self.worst - self.irreducible)
        strengths = self.log_strengths - (steepness / self.outer)[:, None]
        return np.column_stack([steepness, strengths, np.log(self.exponents), np.log(self.outer) - steepness])

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        logs = np.log(proportions + self.offset)
        total = _log_sum(self.log_strengths[:, None, :] + self.exponents[:, None, :] * logs)
        losses: Array = (self.irreducible[:, None] + np.exp(-self.outer[:, None] * total)).T
        return losses

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): -b S^-b (a_j g_j (r_j + eps)^(g_j - 1)) / S."""
        reducible, relative = self._parts(proportions)
        return -(self.outer * reducible)[:, None] * relative

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian: b (b + 1) S^-b x x' + diag(b S^-b x_j (1 - g_j) / (r_j + eps)), x the gradient of log S."""
        reducible, relative = self._parts(proportions)
        first = weights * self.outer * reducible
        root = np.sqrt(first * (1 + self.outer))[:, None] * relative
        diagonal = first @ (relative * (1 - self.exponents)) / (proportions + self.offset)
        return Curvature(root, diagonal)

    def _parts(self, proportions: Array) -> tuple[Array, Array]:
        """S^-b (V,) and the gradient of log S (V, M) at one mixture."""
        terms = self.log_strengths + self.exponents * np.log(proportions + self.offset)
        total = _log_sum(terms)
        relative = np.exp(terms - total[:, None]) * self.exponents / (proportions + self.offset)
        return np.exp(-self.outer * total), relative

    @property
    def convex(self) -> Mask:
        """Where every exponent is at most 1, which fitting sees to."""
        return np.asarray((self.exponents <= 1).all(axis=1))

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in the free parameters of `ReciprocalCurve`: shape (V, n, 2 M + 2)."""
        return ReciprocalCurve(np.log(proportions + self.offset)).slopes(self._theta)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """2 M + 2: E, a, g and b."""
        return 2 * domain_count + 2


def _log_sum(terms: Array) -> Array:
    """log sum exp over the last axis; optimisers ask for it thousands of times, and scipy's takes ten times as long."""
    largest = terms.max(axis=-1)
    total: Array = largest + np.log(np.exp(terms - largest[..., None]).sum(axis=-1))
    return total


@dataclass(frozen=True)
class ReciprocalCurve(Curve):
    """loss - worst = (exp(-b phi) - 1) / kappa, phi = log sum_j exp(l_j + g_j log(r_j + eps)), over rows of logarithms.

    theta = (log kappa, l_1..l_M, log g_1..g_M, log h) with b = kappa h. It is E + S^-b with E = worst - 1 / kappa and
    a_j = exp(l_j + log kappa / b), turned so that no curved valley joins E and b: kappa bends the law, h is its slope
    at the worst loss, and kappa -> 0 is the law that is linear in phi.
    """

    logs: Array

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        terms, exponents = self._split(theta)
        phi = np.log(np.exp(terms[:, None, :] + exponents[:, None, :] * self.logs).sum(axis=2))
        climb = np.minimum(-np.exp(theta[:, :1] + theta[:, -1:]) * phi, CEILING)
        values: Array = np.expm1(climb) / np.exp(theta[:, :1])
        return values

    def slopes(self, theta: Array) -> Array:
        """(B, n, 2 M + 2)."""
        share, moved, kappa, outer, fall = self._parts(theta)
        left = np.exp(-fall)
        by_phi = (-outer / kappa * left)[:, :, None]
        by_kappa = (1 - left - fall * left) / kappa
        by_outer = -fall * left / kappa
        return np.concatenate([by_kappa[:, :, None], by_phi * share, by_phi * moved, by_outer[:, :, None]], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, 2 M + 2, 2 M + 2): f'' phi' phi'' through phi, and the bends of kappa and h."""
        share, moved, kappa, outer, fall = self._parts(theta)
        left, count = np.exp(-fall), self.logs.shape[1]
        strong = outer / kappa
        inner = np.concatenate([share, moved], axis=2)
        first = -strong * left * pull
        second = outer * strong * left * pull
        bend = np.zeros((len(theta), theta.shape[1], theta.shape[1]))
        weighted = inner * (second - first)[:, :, None]
        bend[:, 1:-1, 1:-1] = np.matmul(weighted.transpose(0, 2, 1), inner)
        strengths, exponents = np.arange(1, count + 1), np.arange(count + 1, 2 * count + 1)
        logs = np.exp(theta[:, None, count + 1 : -1]) * self.logs
        across = np.einsum("bn,bnm->bm", first, moved)
        bend[:, strengths, strengths] += np.einsum("bn,bnm->bm", first, share)
        bend[:, strengths, exponents] += across
        bend[:, exponents, strengths] += across
        bend[:, exponents, exponents] += np.einsum("bn,bnm->bm", first, moved * logs) + across
        with_outer = np.einsum("bn,bnz->bz", first * (1 - fall), inner)
        with_kappa = np.einsum("bn,bnz->bz", -first * fall, inner)
        bend[:, 1:-1, -1] = bend[:, -1, 1:-1] = with_outer
        bend[:, 1:-1, 0] = bend[:, 0, 1:-1] = with_kappa
        bend[:, -1, -1] = (pull * -fall * (1 - fall) * left / kappa).sum(axis=1)
        bend[:, 0, 0] = (pull * (fall**2 * left - (1 - left - fall * left)) / kappa).sum(axis=1)
        bend[:, 0, -1] = bend[:, -1, 0] = (pull * fall**2 * left / kappa).sum(axis=1)
        return bend

    def _split(self, theta: Array) -> tuple[Array, Array]:
        count = self.logs.shape[1]
        return theta[:, 1 : count + 1], np.exp(theta[:, count + 1 : -1])

    def _parts(self, theta: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Shares of the sum (B, n, M), shares times g log(r + eps), kappa and b (B, 1), and b phi (B, n)."""
        terms, exponents = self._split(theta)
        logs = exponents[:, None, :] * self.logs
        share = np.exp(terms[:, None, :] + logs)
        total = share.sum(axis=2)
        share /= total[:, :, None]
        kappa, outer = np.exp(theta[:, :1]), np.exp(theta[:, :1] + theta[:, -1:])
        return share, share * logs, kappa, outer, np.maximum(outer * np.log(total), -CEILING)


def _prior(proportions: Array, losses: Array) -> Prior:
    """Strengths and exponents shrunk to common values, b to 1, E and vertex losses to so far from the worst run's."""
    span, targets, domains = ranges(losses), losses.shape[1], proportions.shape[1]
    strengths, exponents = slice(1, domains + 1), slice(domains + 1, 2 * domains + 1)
    precision = np.zeros((targets, 2 * domains + 2, 2 * domains + 2))
    precision[:, strengths, strengths] = (np.eye(domains) - 1 / domains) / STRENGTH_SPREAD**2
    covariance = EXPONENT_SPREAD**2 * np.eye(domains) + SHARED_SPREAD**2
    precision[:, exponents, exponents] = np.linalg.inv(covariance)
    ends = np.array([0, -1])  # log b = log kappa + log h
    precision[:, ends[:, None], ends] = 1 / OUTER_SPREAD**2
    precision[:, 0, 0] += 1 / GAP_SPREAD**2
    centre = np.zeros((targets, 2 * domains + 2))
    centre[:, 0], centre[:, -1] = -np.log(GAP * span), np.log(GAP * span)
    centre[:, exponents] = np.log(EXPONENT)
    lower, upper = np.full_like(centre, -FARTHEST), np.full_like(centre, FARTHEST)
    lower[:, 0], upper[:, 0] = -np.log(WIDEST_GAP * span), -np.log(NARROWEST_GAP * span)
    lower[:, exponents], upper[:, exponents] = np.log(SMALLEST_EXPONENT), 0.0
    lower[:, -1], upper[:, -1] = np.log(span) - FARTHEST, np.log(span) + FARTHEST
    beyond = span[:, None] * reach(proportions, losses)
    return Prior(precision, centre, lower, upper, VERTEX_LEVEL * beyond, VERTEX_SPREAD * beyond)


def _starts(logs: Array, losses: Array) -> Array:
    """Four starts per target, (4, V, 2 M + 2): with g, E and b = 1 given, 1 / (y - E) is linear in a."""
    measured = np.isfinite(losses).T
    low, span, count = np.nanmin(losses, axis=0), ranges(losses), logs.shape[1]
    starts = []
    for exponent in START_EXPONENTS:
        features = np.exp(exponent * logs)
        for gap in START_GAPS:
            irreducible = low - gap * span
            reducible = np.where(measured, losses.T - irreducible[:, None], 1.0)
            weights = np.where(measured, reducible**4, 0.0)  # undoes the reciprocal
            normal = np.matmul((features * weights[:, :, None]).transpose(0, 2, 1), features)
            ridge = 0.01 * np.einsum("bmm->b", normal) / count
            mean = (measured / reducible).sum(axis=1) / measured.sum(axis=1)
            right = (weights / reducible) @ features + (ridge * mean)[:, None]
            strengths = np.linalg.solve(normal + ridge[:, None, None] * np.eye(count), right[:, :, None])[:, :, 0]
            largest = np.abs(strengths).max(axis=1, keepdims=True)
            steepness = -np.log(worst(losses) - irreducible)
            log_strengths = np.log(np.maximum(strengths, 0.02 * largest)) - steepness[:, None]
            exponents = np.full((len(low), count), np.log(exponent))
            starts.append(np.column_stack([steepness, log_strengths, exponents, -steepness]))
    return np.stack(starts)
