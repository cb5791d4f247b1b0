"""The exponential law on square roots of proportions, with a ridge."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import Prior, most_probable
from mixlaw.laws.exponential import NARROWEST_GAP, STEEPEST, WIDEST_GAP, ExponentialCurve
from mixlaw.laws.levenberg import Mask
from mixlaw.laws.measured import Measured, distinct_runs
from mixlaw.laws.vertices import ranges, vertex_spread, worst
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3

OFFSET = 1e-4
"""Proportion added under the root, so that a domain left out has a finite slope."""

HUBER = 7.0
"""As for the exponential law."""

SLOPE_SPREAD = 2.0
"""Standard deviation of a slope in the root of a proportion, in ranges of the losses: the ridge."""

VERTEX_SPREAD = 1.0
"""Each domain alone loses as much as the worst run, give or take this many ranges of the losses."""

START_GAPS = (0.2, 1.0, 5.0)
"""Gaps between smallest and irreducible loss that the fits start from, in ranges of the losses."""


@dataclass(frozen=True)
class RootExponential(MixingLaw):
    """loss(r) = c + exp(u_0 + sum_j u_j sqrt(r_j + eps)).

    The exponential law (Ye et al. 2024, arXiv 2403.16952) with roots, because the first data from a domain help most:
    the exponential law cannot be steep near 0 and flat beyond. Convex where every u_j <= 0, that is where no domain
    harms the target.

    Attributes:
        irreducible: (V,) c, nats per token.
        level: (V,) u_0.
        exponents: (V, M) u.
        offset: eps.
        worst: (V,) largest loss measured, at which the free parameters are taken.
    """

    irreducible: Array
    level: Array
    exponents: Array
    offset: float
    worst: Array

    kind: ClassVar[str] = "root-exponential"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        count, top = len(domains), worst(runs.losses)
        curve = ExponentialCurve(_features(np.vstack([runs.proportions, np.eye(count)]), OFFSET))
        starts = np.stack([_start(runs, gap) for gap in START_GAPS])
        found = most_probable(curve, starts, runs.losses - top, _prior(count, runs.losses), HUBER)
        kappa, slopes = found.theta[:, 0], found.theta[:, 1:] * found.theta[:, :1]
        law = cls(domains, targets, top - 1 / kappa, slopes[:, 0] - np.log(kappa), slopes[:, 1:], OFFSET, top)
        unidentified = ["irreducible loss not identified: the runs allow any value below the one given"]
        return found.fit(law, runs, [unidentified if open_ else [] for open_ in found.reaches_lower(0)])

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        return self.irreducible + np.exp(self.level + np.sqrt(proportions + self.offset) @ self.exponents.T)

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): the reducible loss times u_j / (2 sqrt(r_j + eps))."""
        reducible, relative = self._parts(proportions)
        return reducible[:, None] * relative

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian: the reducible loss times x x' + diag(-x_j / (2 (r_j + eps))), x the slope of its logarithm."""
        reducible, relative = self._parts(proportions)
        root = np.sqrt(weights * reducible)[:, None] * relative
        return Curvature(root, -(weights * reducible) @ relative / (2 * (proportions + self.offset)))

    def _parts(self, proportions: Array) -> tuple[Array, Array]:
        roots = np.sqrt(proportions + self.offset)
        return np.exp(self.level + self.exponents @ roots), self.exponents / (2 * roots)

    @property
    def convex(self) -> Mask:
        """Where no exponent is positive."""
        return np.asarray((self.exponents <= 0).all(axis=1))

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in the free parameters of `ExponentialCurve`: shape (V, n, M + 2)."""
        kappa = 1 / (self.worst - self.irreducible)
        slopes = np.column_stack([self.level + np.log(kappa), self.exponents]) / kappa[:, None]
        return ExponentialCurve(_features(proportions, self.offset)).slopes(np.column_stack([kappa, slopes]))

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """M + 2: c, u_0 and u; roots do not sum to a constant."""
        return domain_count + 2


def _features(proportions: Array, offset: float) -> Array:
    """(n, 1 + M): 1 and the roots."""
    return np.column_stack([np.ones(len(proportions)), np.sqrt(proportions + offset)])


def _start(runs: Measured, gap: float) -> Array:
    """(V, M + 2): with c given, the law is linear in log(y - c)."""
    top, span = worst(runs.losses), ranges(runs.losses)
    kappa = 1 / (top - np.nanmin(runs.losses, axis=0) + gap * span)
    measured, features = np.isfinite(runs.losses).T, _features(runs.proportions, OFFSET)
    grown = np.where(measured, 1 + kappa[:, None] * (runs.losses - top).T, 1.0)
    weights = np.where(measured, grown**2, 0.0)
    normal = np.matmul((features * weights[:, :, None]).transpose(0, 2, 1), features)
    ridge = 1e-3 * np.einsum("bpp->b", normal) / features.shape[1]
    normal += ridge[:, None, None] * np.diag([0.0] + [1.0] * (features.shape[1] - 1))
    solved = np.linalg.solve(normal, ((weights * np.log(grown)) @ features)[:, :, None])[:, :, 0]
    return np.column_stack([kappa, solved / kappa[:, None]])


def _prior(domains: int, losses: Array) -> Prior:
    """A ridge on the slopes, anchors at the vertices, wide bounds."""
    span, targets = ranges(losses), losses.shape[1]
    precision = np.zeros((targets, domains + 2, domains + 2))
    precision[:, 2:, 2:] = np.eye(domains) / (SLOPE_SPREAD * span[:, None, None]) ** 2
    slopes = np.repeat(STEEPEST * span[:, None], domains + 1, axis=1)
    return Prior(
        precision=precision,
        centre=np.zeros((targets, domains + 2)),
        lower=np.column_stack([1 / (WIDEST_GAP * span), -slopes]),
        upper=np.column_stack([1 / (NARROWEST_GAP * span), slopes]),
        anchors=np.zeros((targets, domains)),
        anchor_spread=vertex_spread(losses, domains, VERTEX_SPREAD),
    )
