"""The convex program in the mixture that every question about the best mixture comes down to."""

from dataclasses import dataclass

import numpy as np

from mixlaw.laws.base import Curvature, MixingLaw
from mixlaw.limits import Limits
from mixlaw.mixture import Array

SMALLEST = 1e-300
"""Stands in for a proportion of 0 inside a logarithm; its contribution to KL is below every rounding error."""


@dataclass(frozen=True)
class Ceilings:
    """Convex limits on losses: weights[k]·L(r) + kl[k] KL(r‖prior) <= bounds[k], for k of m.

    Attributes:
        weights: (m, V) at least 0.
        kl: (m,) at least 0.
        bounds: (m,) nats per token.
        lifted: (m,) whether the program minimises the largest excess of these ceilings instead of keeping them.
    """

    weights: Array
    kl: Array
    bounds: Array
    lifted: "np.ndarray[tuple[int], np.dtype[np.bool_]]"

    @classmethod
    def none(cls, target_count: int) -> "Ceilings":
        """No limit on any loss."""
        return cls(np.zeros((0, target_count)), np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool))

    @classmethod
    def of(cls, weights: Array, bounds: Array, *, kl: float = 0.0, lifted: bool = False) -> "Ceilings":
        """Ceilings on weighted losses (m, V), all kept or all lifted, with the same multiple of the KL divergence."""
        count = len(bounds)
        return cls(weights, np.full(count, kl), bounds, np.full(count, lifted))

    def __add__(self, other: "Ceilings") -> "Ceilings":
        """Both sets of ceilings."""
        return Ceilings(
            np.vstack([self.weights, other.weights]),
            np.concatenate([self.kl, other.kl]),
            np.concatenate([self.bounds, other.bounds]),
            np.concatenate([self.lifted, other.lifted]),
        )


@dataclass(frozen=True)
class Program:
    """Minimise weights·L(r) + price·r + kl KL(r‖prior) + max over lifted ceilings of their excess.

    The mixture r keeps `limits` and the ceilings that are not lifted. With the losses L convex, so is the whole.

    Attributes:
        law: V losses of M domains, convex in every target that has a weight here.
        limits: the polytope of allowed mixtures.
        weights: (V,) at least 0.
        price: (M,) linear cost, nats per unit of proportion.
        kl: weight of the divergence from the prior, nats of loss per nat.
        prior: (M,) positive wherever the cap is; None where no divergence is asked for.
        ceilings: limits on losses.
    """

    law: MixingLaw
    limits: Limits
    weights: Array
    price: Array
    kl: float
    prior: Array | None
    ceilings: Ceilings

    @classmethod
    def mean(
        cls,
        law: MixingLaw,
        limits: Limits,
        weights: Array,
        *,
        kl: float = 0.0,
        prior: Array | None = None,
        ceilings: Ceilings | None = None,
    ) -> "Program":
        """The least weighted loss, with a divergence from the prior and ceilings where they are given."""
        price = np.zeros(len(limits.domains))
        return cls(law, limits, weights, price, kl, prior, ceilings or Ceilings.none(len(law.targets)))

    @property
    def lifts(self) -> bool:
        """Whether the objective has a largest excess in it."""
        return bool(self.ceilings.lifted.any())

    def at(self, proportions: Array) -> "Point":
        """Evaluate objective and ceilings, with slopes, at one mixture (M,)."""
        losses = self.law.predict(proportions[None])[0]
        slopes = self.law.slope(proportions)
        divergence, divergence_slope = self.divergence(proportions)
        ceilings = self.ceilings
        return Point(
            losses=losses,
            slopes=slopes,
            smooth=float(self.weights @ losses + self.price @ proportions + self.kl * divergence),
            slope=self.weights @ slopes + self.price + self.kl * divergence_slope,
            excess=ceilings.weights @ losses + ceilings.kl * divergence - ceilings.bounds,
            excess_slope=ceilings.weights @ slopes + ceilings.kl[:, None] * divergence_slope,
        )

    def value(self, proportions: Array) -> float:
        """The objective, the largest lifted excess included, at one mixture (M,)."""
        losses = self.law.predict(proportions[None])[0]
        divergence, _ = self.divergence(proportions)
        smooth = float(self.weights @ losses + self.price @ proportions + self.kl * divergence)
        if not self.lifts:
            return smooth
        return smooth + float(self.excess(losses, divergence)[self.ceilings.lifted].max())

    def ranks(self, proportions: Array) -> Array:
        """(n,) what a search without slopes compares mixtures (n, M) by: the objective, far worse off the ceilings."""
        losses = self.law.predict(proportions)
        divergence = np.array([self.divergence(row)[0] for row in proportions])
        excess = losses @ self.ceilings.weights.T + divergence[:, None] * self.ceilings.kl - self.ceilings.bounds
        lifted = self.ceilings.lifted
        value = losses @ self.weights + proportions @ self.price + self.kl * divergence
        if self.lifts:
            value += excess[:, lifted].max(axis=1)
        broken = excess[:, ~lifted].max(axis=1, initial=0.0)
        ranks: Array = value + np.where(broken > 1e-12, 1e6 * (1 + broken), 0.0)
        return ranks

    def excess(self, losses: Array, divergence: float) -> Array:
        """How far each ceiling (m,) is exceeded; negative where it is kept."""
        return self.ceilings.weights @ losses + self.ceilings.kl * divergence - self.ceilings.bounds

    def violation(self, proportions: Array, point: "Point | None" = None) -> float:
        """The largest violation of any limit or kept ceiling; 0 when all are met.

        Args:
            proportions: (M,).
            point: the program evaluated there, where that is at hand.
        """
        if point is not None:
            excess = point.excess
        else:
            excess = self.excess(self.law.predict(proportions[None])[0], self.divergence(proportions)[0])
        return max(self.limits.violation(proportions), float(excess[~self.ceilings.lifted].max(initial=0.0)))

    def divergence(self, proportions: Array) -> tuple[float, Array]:
        """KL(r‖prior) in nats and its slope (M,); both 0 where no prior is given."""
        if self.prior is None:
            return 0.0, np.zeros(len(proportions))
        logarithm = np.log(np.maximum(proportions, SMALLEST) / np.maximum(self.prior, SMALLEST))
        return float(proportions @ logarithm), logarithm + 1.0

    def curvature(self, proportions: Array, multipliers: Array) -> Curvature:
        """Hessian of the Lagrangian at one mixture, with multipliers (m,) of the ceilings."""
        found = self.law.curvature(proportions, self.weights + multipliers @ self.ceilings.weights)
        kl = self.kl + float(multipliers @ self.ceilings.kl)
        if kl == 0:
            return found
        return Curvature(found.root, found.diagonal + kl / np.maximum(proportions, SMALLEST))


@dataclass(frozen=True)
class Point:
    """A program's values and slopes at one mixture.

    Attributes:
        losses, slopes: (V,), (V, M) of the law.
        smooth, slope: the objective without lifted ceilings, and its slope (M,).
        excess, excess_slope: (m,), (m, M) of the ceilings.
    """

    losses: Array
    slopes: Array
    smooth: float
    slope: Array
    excess: Array
    excess_slope: Array
