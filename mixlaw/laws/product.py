"""M3 of Ye et al. (2024, arXiv 2403.16952): the law of the product of proportions, for comparison."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.laws.evidence import Prior, most_probable
from mixlaw.laws.growth import growth
from mixlaw.laws.levenberg import Curve
from mixlaw.laws.measured import distinct_runs
from mixlaw.laws.vertices import ranges, worst
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3

HUBER = 7.0
"""As for the exponential law."""

SLOPE_SPREAD, RATE_SPREAD = 10.0, 5.0
"""Standard deviations of the slope, in ranges of the losses, and of the rate; as for M1."""

LARGEST_RATE = 50.0
"""Bound of the rate, as for M1."""


@dataclass(frozen=True)
class Product(MixingLaw):
    """M3: loss(r) = c + k exp(prod_j t_j r_j); only the product of the t_j can be told, so there are 3 parameters.

    Held as base + s x (exp(t x) - 1) / (t x) with x = M^M prod_j r_j, which is 1 at the uniform mixture and 0 wherever
    a domain is left out: the law cannot tell such mixtures apart, and it is not convex.

    Attributes:
        base: (V,) loss of any mixture that leaves a domain out, nats per token.
        slopes: (V,) s.
        rates: (V,) t.
    """

    base: Array
    slopes: Array
    rates: Array

    kind: ClassVar[str] = "m3"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        top, span, count = worst(runs.losses), ranges(runs.losses), len(targets)
        low = np.nanmin(runs.losses, axis=0) - top
        starts = np.stack([np.column_stack([low * 0, low, np.full(count, rate)]) for rate in (-10.0, -2.0, 2.0)])
        bounds = np.tile([np.inf, np.inf, LARGEST_RATE], (count, 1))
        precision = np.zeros((count, 3, 3))
        precision[:, 1, 1], precision[:, 2, 2] = 1 / (SLOPE_SPREAD * span) ** 2, 1 / RATE_SPREAD**2
        none = np.zeros((count, 0))
        prior = Prior(precision, np.zeros((count, 3)), -bounds, bounds, none, none)
        found = most_probable(ProductCurve(_product(runs.proportions)), starts, runs.losses - top, prior, HUBER)
        law = cls(domains, targets, found.theta[:, 0] + top, found.theta[:, 1], found.theta[:, 2])
        return found.fit(law, runs)

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        theta = np.column_stack([self.base, self.slopes, self.rates])
        return ProductCurve(_product(proportions)).values(theta).T

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): s exp(t x) dx/dr_j."""
        count = len(self.domains)
        others = np.where(np.eye(count, dtype=bool), 1.0, proportions).prod(axis=1) * float(count) ** count
        level = self.slopes * np.exp(self.rates * _product(proportions[None])[0])
        slope: Array = level[:, None] * others
        return slope

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in (base, s, t): shape (V, n, 3)."""
        theta = np.column_stack([self.base, self.slopes, self.rates])
        return ProductCurve(_product(proportions)).slopes(theta)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """3: c, k and the product of t."""
        return 3


@dataclass(frozen=True)
class ProductCurve(Curve):
    """base + s x g(t x), theta = (base, s, t), over products x (n,)."""

    products: Array

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        return theta[:, :1] + theta[:, 1:2] * self.products * growth(theta[:, 2:] * self.products)[0]

    def slopes(self, theta: Array) -> Array:
        """(B, n, 3)."""
        grown, first, _ = growth(theta[:, 2:] * self.products)
        by_slope, by_rate = self.products * grown, theta[:, 1:2] * self.products**2 * first
        return np.stack([np.ones_like(by_slope), by_slope, by_rate], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, 3, 3)."""
        _, first, second = growth(theta[:, 2:] * self.products)
        bend = np.zeros((len(theta), 3, 3))
        bend[:, 1, 2] = bend[:, 2, 1] = (pull * self.products**2 * first).sum(axis=1)
        bend[:, 2, 2] = theta[:, 1] * (pull * self.products**3 * second).sum(axis=1)
        return bend


def _product(proportions: Array) -> Array:
    """(n,) M^M times the product of the proportions (n, M)."""
    count = proportions.shape[1]
    product: Array = (proportions * count).prod(axis=1)
    return product
