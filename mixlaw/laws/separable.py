"""Laws in which domains act apart: M1 and M2 of Ye et al. (2024, arXiv 2403.16952), for comparison."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import Prior, most_probable
from mixlaw.laws.growth import growth
from mixlaw.laws.levenberg import Curve, Mask
from mixlaw.laws.measured import Measured, distinct_runs
from mixlaw.laws.vertices import ranges, vertex_spread, worst
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3

HUBER = 7.0
"""As for the exponential law, of which these are siblings."""

VERTEX_SPREAD, VERTEX_FADING = 1.0, 1.5
"""As for the exponential law."""

SLOPE_SPREAD = 10.0
"""Standard deviation of a slope at proportion 0, in ranges of the losses."""

RATE_SPREAD = 5.0
"""Standard deviation of a rate t_j: the effect of a domain is used up to 1/e within a fifth of the simplex."""

LARGEST_RATE = 50.0
"""Bound of a rate: no design resolves what happens within 2% of the simplex."""

START_RATES = (-0.5, -3.0, -10.0)
"""Rates, the same for all domains, from which the fits start."""


@dataclass(frozen=True)
class Separable(MixingLaw):
    """M1: loss(r) = c + sum_j k_j exp(t_j r_j).

    Held as base + sum_j s_j (exp(t_j r_j) - 1) / t_j, the same law with k_j = s_j / t_j and c = base - sum_j k_j, which
    stays finite where an effect is linear. Convex where every k_j >= 0.

    Attributes:
        base: (V,) value at no data at all, nats per token.
        slopes: (V, M) s, slope in each domain at proportion 0.
        rates: (V, M) t.
    """

    base: Array
    slopes: Array
    rates: Array

    kind: ClassVar[str] = "m1"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        count, top = len(domains), worst(runs.losses)
        curve = SeparableCurve(np.vstack([runs.proportions, np.eye(count)]))
        starts = np.stack([_start(runs, rate) for rate in START_RATES])
        slope_precision = 1 / (SLOPE_SPREAD * ranges(runs.losses)[:, None] * np.ones(count)) ** 2
        rate_precision = np.full((len(targets), count), 1 / RATE_SPREAD**2)
        prior = _prior(runs.losses, count, [slope_precision, rate_precision])
        prior.lower[:, count + 1 :], prior.upper[:, count + 1 :] = -LARGEST_RATE, LARGEST_RATE
        found = most_probable(curve, starts, runs.losses - top, prior, HUBER)
        theta = found.theta
        law = cls(domains, targets, theta[:, 0] + top, theta[:, 1 : count + 1], theta[:, count + 1 :])
        return found.fit(law, runs)

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        grown = growth(self.rates[:, None, :] * proportions)[0]
        losses: Array = self.base + np.einsum("vm,nm,vnm->nv", self.slopes, proportions, grown)
        return losses

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): s_j exp(t_j r_j)."""
        return self.slopes * np.exp(self.rates * proportions)

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian: diag(s_j t_j exp(t_j r_j))."""
        bends = self.slopes * self.rates * np.exp(self.rates * proportions)
        return Curvature(np.zeros((0, len(self.domains))), weights @ bends)

    @property
    def convex(self) -> Mask:
        """Where no k_j is negative."""
        return np.asarray((self.slopes * self.rates >= 0).all(axis=1))

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in (base, s, t): shape (V, n, 2 M + 1)."""
        return SeparableCurve(proportions).slopes(np.column_stack([self.base, self.slopes, self.rates]))

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """2 M + 1: c, k and t."""
        return 2 * domain_count + 1


@dataclass(frozen=True)
class SharedSeparable(MixingLaw):
    """M2: loss(r) = c + k sum_j exp(t_j r_j), with one k > 0.

    Held as base + sum_j (exp(kappa q_j r_j) - 1) / kappa: k = 1 / kappa, t = kappa q, c = base - M k. Convex.

    Attributes:
        base: (V,) value at no data at all, nats per token.
        slopes: (V, M) q, slope in each domain at proportion 0.
        bending: (V,) kappa.
    """

    base: Array
    slopes: Array
    bending: Array

    kind: ClassVar[str] = "m2"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        count, top, span = len(domains), worst(runs.losses), ranges(runs.losses)
        curve = SharedSeparableCurve(np.vstack([runs.proportions, np.eye(count)]))
        bends = -np.log(np.geomspace(0.2, 5.0, 3)[:, None] * span)
        starts = np.stack([np.column_stack([_start(runs, -0.5)[:, : count + 1], bend]) for bend in bends])
        slope_precision = 1 / (SLOPE_SPREAD * span[:, None] * np.ones(count)) ** 2
        prior = _prior(runs.losses, count, [slope_precision, np.zeros((len(targets), 1))])
        prior.lower[:, -1], prior.upper[:, -1] = -np.log(50 * span), -np.log(0.02 * span)
        found = most_probable(curve, starts, runs.losses - top, prior, HUBER)
        theta = found.theta
        law = cls(domains, targets, theta[:, 0] + top, theta[:, 1:-1], np.exp(theta[:, -1]))
        unidentified = ["irreducible loss not identified: the runs allow any value below the one given"]
        return found.fit(law, runs, [unidentified if open_ else [] for open_ in found.reaches_lower(-1)])

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        return self._separable.predict(proportions)

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): q_j exp(kappa q_j r_j)."""
        return self._separable.slope(proportions)

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian: diag(kappa q_j² exp(kappa q_j r_j))."""
        return self._separable.curvature(proportions, weights)

    @property
    def convex(self) -> Mask:
        """Always: kappa is positive."""
        return np.ones(len(self.targets), dtype=bool)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in (base, q, log kappa): shape (V, n, M + 2)."""
        theta = np.column_stack([self.base, self.slopes, np.log(self.bending)])
        return SharedSeparableCurve(proportions).slopes(theta)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """M + 2: c, k and t."""
        return domain_count + 2

    @property
    def _separable(self) -> Separable:
        rates = self.bending[:, None] * self.slopes
        return Separable(self.domains, self.targets, self.base, self.slopes, rates)


@dataclass(frozen=True)
class SeparableCurve(Curve):
    """base + sum_j s_j r_j g(t_j r_j), theta = (base, s, t), over rows r (n, M)."""

    rows: Array

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        slopes, rates = np.split(theta[:, 1:], 2, axis=1)
        grown = growth(rates[:, None, :] * self.rows)[0]
        values: Array = theta[:, :1] + np.matmul(grown * self.rows, slopes[:, :, None])[:, :, 0]
        return values

    def slopes(self, theta: Array) -> Array:
        """(B, n, 2 M + 1)."""
        slopes, rates = np.split(theta[:, 1:], 2, axis=1)
        grown, first, _ = growth(rates[:, None, :] * self.rows)
        by_slope = self.rows * grown
        by_rate = slopes[:, None, :] * self.rows**2 * first
        return np.concatenate([np.ones((*by_slope.shape[:2], 1)), by_slope, by_rate], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, 2 M + 1, 2 M + 1)."""
        slopes, rates = np.split(theta[:, 1:], 2, axis=1)
        _, first, second = growth(rates[:, None, :] * self.rows)
        bend = np.zeros((len(theta), theta.shape[1], theta.shape[1]))
        slope, rate = np.arange(1, slopes.shape[1] + 1), np.arange(slopes.shape[1] + 1, theta.shape[1])
        across = np.einsum("bn,bnm->bm", pull, self.rows**2 * first)
        bend[:, slope, rate] = bend[:, rate, slope] = across
        bend[:, rate, rate] = slopes * np.einsum("bn,bnm->bm", pull, self.rows**3 * second)
        return bend


@dataclass(frozen=True)
class SharedSeparableCurve(Curve):
    """base + sum_j q_j r_j g(kappa q_j r_j), theta = (base, q, log kappa), over rows r (n, M)."""

    rows: Array

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        effect = theta[:, None, 1:-1] * self.rows
        grown = growth(np.exp(theta[:, -1])[:, None, None] * effect)[0]
        values: Array = theta[:, :1] + (effect * grown).sum(axis=2)
        return values

    def slopes(self, theta: Array) -> Array:
        """(B, n, M + 2)."""
        effect = theta[:, None, 1:-1] * self.rows
        power = np.exp(theta[:, -1])[:, None, None] * effect
        by_bending = (effect * power * growth(power)[1]).sum(axis=2, keepdims=True)
        return np.concatenate([np.ones_like(by_bending), self.rows * np.exp(power), by_bending], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, M + 2, M + 2)."""
        effect = theta[:, None, 1:-1] * self.rows
        bending = np.exp(theta[:, -1])[:, None, None]
        power = bending * effect
        _, first, second = growth(power)
        grown = self.rows * np.exp(power)
        slope = np.arange(1, theta.shape[1] - 1)
        bend = np.zeros((len(theta), theta.shape[1], theta.shape[1]))
        bend[:, slope, slope] = np.einsum("bn,bnm->bm", pull, bending * self.rows * grown)
        across = np.einsum("bn,bnm->bm", pull, grown * power)
        bend[:, slope, -1] = bend[:, -1, slope] = across
        bend[:, -1, -1] = np.einsum("bn,bnm->b", pull, effect * power * (first + power * second))
        return bend


def _start(runs: Measured, rate: float) -> Array:
    """(V, 2 M + 1): with the rate given, the law is linear in base and slopes; a slight ridge picks among equals."""
    top, count = worst(runs.losses), runs.proportions.shape[1]
    measured = np.isfinite(runs.losses).T
    features = np.column_stack([np.ones(len(runs.proportions)), runs.proportions * growth(rate * runs.proportions)[0]])
    normal = np.matmul((features * measured[:, :, None]).transpose(0, 2, 1), features)
    ridge = 1e-3 * np.einsum("bpp->b", normal) / (count + 1)
    right = np.where(measured, (runs.losses - top).T, 0.0) @ features
    solved = np.linalg.solve(normal + ridge[:, None, None] * np.eye(count + 1), right[:, :, None])[:, :, 0]
    return np.column_stack([solved, np.full((len(top), count), rate)])


def _prior(losses: Array, domains: int, precisions: list[Array]) -> Prior:
    """No knowledge of the base, given precisions of the rest about 0, and anchors at the vertices."""
    diagonal = np.column_stack([np.zeros(losses.shape[1]), *precisions])
    nothing = np.zeros_like(diagonal)
    return Prior(
        precision=diagonal[:, :, None] * np.eye(diagonal.shape[1]),
        centre=nothing,
        lower=np.full_like(nothing, -np.inf),
        upper=np.full_like(nothing, np.inf),
        anchors=np.zeros((losses.shape[1], domains)),
        anchor_spread=vertex_spread(losses, domains, VERTEX_SPREAD, VERTEX_FADING),
    )
