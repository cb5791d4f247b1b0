"""Mixtures drawn around the natural mixture, as RegMix does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlaw.design.base import Design
from mixlaw.design.within import within
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.mixture import Array


@dataclass(frozen=True)
class AroundNatural(Design):
    """Dirichlet draws around the tempered natural mixture (Liu et al. 2024, RegMix, 2407.01492).

    The centre is `natural ** temperature`, made to sum to 1; one of `strengths` values, evenly spaced in their
    logarithm, multiplies it into the Dirichlet's parameters. A draw with a domain above `largest` times its natural
    proportion is rejected; proportions below `unit` become 0, and the rest are rounded to multiples of it.

    Small domains are hardly ever seen in quantity, so their effect is learnt late: `Default` finds optima at corners
    with fewer runs.

    Args:
        temperature: power of the natural mixture; below 1 lifts small domains.
        weakest, strongest: range of strengths.
        strengths: how many.
        largest: times its natural proportion that a domain may reach.
        unit: proportions are multiples of it, before the sum is divided out.
    """

    temperature: float = 0.5
    weakest: float = 0.1
    strongest: float = 5.0
    strengths: int = 15
    largest: float = 15.0
    unit: float = 2e-4

    attempts = 10_000

    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """One draw that was not rejected, brought into the limits.

        Raises:
            Refused: if the natural mixture is not known, or nothing it allows can be drawn.
        """
        if natural is None:
            raise Refused(
                "the design 'natural' draws around the natural mixture, which is not known; "
                "give tokens by domain, or choose another design"
            )
        centre = natural**self.temperature / (natural**self.temperature).sum()
        strengths = np.geomspace(self.weakest, self.strongest, self.strengths)
        cap = np.minimum(1.0, self.largest * natural)
        for _ in range(self.attempts):
            strength = strengths[random.integers(self.strengths)]
            draw = np.zeros(len(centre))
            draw[centre > 0] = random.standard_gamma(strength * centre[centre > 0])
            if not draw.sum() > 0:
                continue
            draw = draw / draw.sum()
            if (draw <= cap).all():
                kept = np.where(draw < self.unit, 0.0, draw)
                rounded: Array = np.round(kept / kept.sum() / self.unit) * self.unit
                chosen: Array = within((rounded / rounded.sum())[None], limits)[0]
                return chosen
        raise Refused(
            f"none of {self.attempts} draws around the natural mixture kept every domain within {self.largest:g} times "
            "its natural proportion; choose another design"
        )
