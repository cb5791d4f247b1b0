"""What data are worth when they are read again.

The R-th repeat of a token is worth exp(-R / R*) of a new one, so U unique tokens read D / U times are worth
U + U R* (1 - exp(-(D / U - 1) / R*)) tokens (Muennighoff et al. 2023, arXiv 2305.16264, whose fit has R* = 15.387756).
Applied to each domain, with proportions for tokens, this is a concave, increasing function of the proportion. A loss
that is convex and falls with more of any domain stays convex under it: then the optimum can still be proved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.fitting.law import LawAtScale
from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.limits import Supply
from mixlaw.mixture import Array
from mixlaw.optimize.program import SMALLEST
from mixlaw.surfaces.repetition import TOKEN_LIFETIME, effective
from mixlaw.surfaces.surface_law import SurfaceLaw

FALLING = ("reciprocal",)
"""Kinds of law whose losses fall with more of any domain, the others held: convexity survives the discount."""


def worth_of(proportions: Array, fresh: Array, lifetime: float = TOKEN_LIFETIME) -> Array:
    """Proportions (..., M) of unrepeated data that would be worth as much; 0 of a domain of which there is nothing.

    Args:
        proportions: (..., M) of the budget.
        fresh: (M,) proportion that one pass over a domain takes up.
        lifetime: R*.
    """
    return effective(proportions, np.maximum(fresh, SMALLEST), lifetime)


def falls(law: MixingLaw) -> bool:
    """Whether every loss is known to fall with more of any domain, the others held."""
    if isinstance(law, SurfaceLaw):
        return law.exponentials.shape[1] == 0 and bool((law.powers * law.scales <= 0).all())
    return law.kind in FALLING


@dataclass(frozen=True)
class Discounted(MixingLaw):
    """A law of unrepeated data, asked about data that are repeated: loss(worth(r)).

    It is made from a fitted law and a supply, never fitted itself.

    Attributes:
        base: convex, and falling with more of any domain.
        fresh: (M,) proportion that one pass over a domain takes up.
        lifetime: R*.
    """

    base: MixingLaw
    fresh: Array
    lifetime: float = TOKEN_LIFETIME

    kind: ClassVar[str] = "discounted"

    def _worth(self, proportions: Array) -> tuple[Array, Array, Array]:
        """What proportions are worth, with first and second derivatives, each of the shape of `proportions`."""
        fresh = np.maximum(self.fresh, SMALLEST)
        first = np.exp(-np.maximum(proportions / fresh - 1.0, 0.0) / self.lifetime)
        second = np.where(proportions > fresh, -first / (fresh * self.lifetime), 0.0)
        return worth_of(proportions, self.fresh, self.lifetime), first, second

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V)."""
        return self.base.predict(worth_of(proportions, self.fresh, self.lifetime))

    def slope(self, proportions: Array) -> Array:
        """(V, M): the base's slope at what the proportions are worth, times what one more token is worth."""
        worth, first, _ = self._worth(proportions)
        return self.base.slope(worth) * first

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """The base's curvature seen through the discount, and the discount's own: both at least 0."""
        worth, first, second = self._worth(proportions)
        inner = self.base.curvature(worth, weights)
        return Curvature(inner.root * first, inner.diagonal * first**2 + (weights @ self.base.slope(worth)) * second)

    @property
    def convex(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """(V,) as the base."""
        return self.base.convex

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in the base's parameters, at what the proportions are worth."""
        return self.base.parameter_slope(worth_of(proportions, self.fresh, self.lifetime))

    def parameters(self) -> dict[str, Any]:
        """The base's, and what the discount rests on."""
        return {**self.base.parameters(), "fresh": self.fresh.tolist(), "lifetime": self.lifetime}

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Refused: fit a law of unrepeated data, and discount that."""
        raise Refused("a discounted law is not fitted itself; fit the law of unrepeated data")

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """None of its own: R* is not fitted."""
        return 0

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Refused: it is made from a law and a supply."""
        raise Refused("a discounted law is made from a law and a supply, not read from a file")


def discounted(at: LawAtScale, supply: Supply | None) -> LawAtScale:
    """A law at one scale that counts repeated data for less, with its uncertainty.

    Args:
        at: fitted to runs that hardly repeat their data.
        supply: the text at hand and the budget.

    Raises:
        Refused: without a supply, or for a law under which the discount could make the problem non-convex.
    """
    if supply is None:
        raise Refused("repeats are counted in the tokens at hand; give --available and --tokens")
    if not falls(at.law):
        raise Refused(
            f"under the {at.law.kind} law more of a domain can raise a loss, so a discount of repeats could not be "
            f"proved to keep it convex; fit with --law {FALLING[0]}, or cap the epochs with --max-epochs instead"
        )
    law = Discounted(at.law.domains, at.law.targets, at.law, supply.per_epoch)
    return replace(at, law=law, uncertainty=replace(at.uncertainty, law=law))
