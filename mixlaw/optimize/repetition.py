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
from mixlaw.law import LawAtScale
from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.limits import Supply
from mixlaw.mixture import Array

HALF_LIFE = 15.387756
"""R*: repeats after which one more is worth 1/e of new data (Muennighoff et al. 2023)."""

FALLING = ("reciprocal",)
"""Kinds of law whose losses fall with more of any domain, the others held: convexity survives the discount."""


def effective(proportions: Array, fresh: Array, half_life: float = HALF_LIFE) -> Array:
    """Proportions (..., M) that unrepeated data would need to be worth as much.

    Args:
        proportions: (..., M) of the budget.
        fresh: (M,) proportion that one pass over a domain takes up.
        half_life: R*.
    """
    repeats = np.maximum(proportions / np.maximum(fresh, 1e-300) - 1.0, 0.0)
    worth: Array = np.minimum(proportions, fresh) - fresh * half_life * np.expm1(-repeats / half_life)
    return worth


@dataclass(frozen=True)
class Discounted(MixingLaw):
    """A law of unrepeated data, asked about data that are repeated: loss(effective(r)).

    It is made from a fitted law and a supply, never fitted itself.

    Attributes:
        base: convex, and falling with more of any domain.
        fresh: (M,) proportion that one pass over a domain takes up.
        half_life: R*.
    """

    base: MixingLaw
    fresh: Array
    half_life: float = HALF_LIFE

    kind: ClassVar[str] = "discounted"

    def _worth(self, proportions: Array) -> tuple[Array, Array, Array]:
        """Effective proportions with their first and second derivatives, each of the shape of `proportions`."""
        repeats = np.maximum(proportions / np.maximum(self.fresh, 1e-300) - 1.0, 0.0)
        first = np.exp(-repeats / self.half_life)
        second = np.where(repeats > 0, -first / np.maximum(self.fresh * self.half_life, 1e-300), 0.0)
        return effective(proportions, self.fresh, self.half_life), first, second

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V)."""
        return self.base.predict(effective(proportions, self.fresh, self.half_life))

    def slope(self, proportions: Array) -> Array:
        """(V, M): the base's slope at the effective proportions, times what one more token is worth."""
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
        """Derivative in the base's parameters, at the effective proportions."""
        return self.base.parameter_slope(effective(proportions, self.fresh, self.half_life))

    def parameters(self) -> dict[str, Any]:
        """The base's, and what the discount rests on."""
        return {**self.base.parameters(), "fresh": self.fresh.tolist(), "half_life": self.half_life}

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
    if at.law.kind not in FALLING:
        raise Refused(
            f"under the {at.law.kind} law more of a domain can raise a loss, so a discount of repeats could not be "
            f"proved to keep it convex; fit with --law {FALLING[0]}, or cap the epochs with --max-epochs instead"
        )
    law = Discounted(at.law.domains, at.law.targets, at.law, supply.per_epoch)
    return replace(at, law=law, uncertainty=replace(at.uncertainty, law=law))
