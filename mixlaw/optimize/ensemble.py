"""Several laws asked at once, for a mixture that is good by all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.fitting.choose import folds_of
from mixlaw.fitting.law import LawAtScale
from mixlaw.laws import LAWS
from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Ensemble(MixingLaw):
    """Laws of the same domains side by side; the targets of the first keep their names.

    Made from fitted laws, never fitted itself.

    Attributes:
        laws: K of them, of V targets each.
    """

    laws: tuple[MixingLaw, ...]

    kind: ClassVar[str] = "ensemble"

    @classmethod
    def of(cls, laws: Sequence[MixingLaw]) -> Self:
        """Put laws of the same domains and targets side by side."""
        first = laws[0]
        more = [f"{target} (refit {number})" for number in range(1, len(laws)) for target in first.targets]
        return cls(first.domains, (*first.targets, *more), tuple(laws))

    def predict(self, proportions: Array) -> Array:
        """Losses (n, K V), law by law."""
        return np.hstack([law.predict(proportions) for law in self.laws])

    def slope(self, proportions: Array) -> Array:
        """(K V, M)."""
        return np.vstack([law.slope(proportions) for law in self.laws])

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """The sum of the laws' curvatures, each with its part of the weights (K V,)."""
        parts = [
            law.curvature(proportions, w) for law, w in zip(self.laws, np.split(weights, len(self.laws)), strict=True)
        ]
        return Curvature(np.vstack([part.root for part in parts]), np.sum([part.diagonal for part in parts], axis=0))

    @property
    def convex(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """(K V,) of every law."""
        return np.concatenate([law.convex for law in self.laws])

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """None of its own."""
        return 0

    def parameters(self) -> dict[str, Any]:
        """Those of every law."""
        return {"laws": [law.parameters() for law in self.laws]}

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Refused: fit the laws."""
        raise Refused("an ensemble is not fitted itself; fit its laws")

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Refused: it is made from laws."""
        raise Refused("an ensemble is made from laws, not read from a file")


def refitted(at: LawAtScale) -> tuple[MixingLaw, ...]:
    """The law, and the same kind of law fitted without each fold of the mixtures: what it might as well have been.

    Raises:
        Refused: for a law that is not fitted at one scale, or too few mixtures to leave any out.
    """
    family = LAWS.get(at.law.kind)
    if family is None:
        raise Refused(
            f"the {at.law.kind} law is not fitted at one scale, so it cannot be refitted there without some runs; fit "
            "with --scale none, nested or pooled, or ask for another objective"
        )
    groups = np.unique(np.round(at.proportions, 6), axis=0, return_inverse=True)[1].reshape(-1)
    folds = folds_of(groups)
    kept = [folds != fold for fold in range(int(folds.max()) + 1)]
    names = at.law.domains, at.law.targets
    return (at.law, *(family.fit(*names, at.proportions[rows], at.losses[rows]).law for rows in kept))
