"""The design to use unless there is a reason not to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlaw.design.base import Design
from mixlaw.design.dirichlet import Dirichlet
from mixlaw.design.maximin import Maximin
from mixlaw.design.natural import AroundNatural
from mixlaw.limits import Limits
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Default(Design):
    """Half as far apart as can be, a quarter around the natural mixture, a quarter sparse draws.

    Every second mixture is farthest from all before it in square-root proportions: these see every domain nearly alone
    and in pairs, which finds an optimum at a corner. Between them a draw around the natural mixture (an even one where
    that is not known) and one of Dirichlet(0.3) take turns: they see several domains at once, without which a law can
    believe in gains from mixing that no run has contradicted, and where full runs are likely to be. `make
    bench-designs` measures the whole against its parts.
    """

    near, sparse, far = AroundNatural(largest=math.inf), Dirichlet(0.3), Maximin()
    even = Dirichlet(1.0)

    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """The part whose turn it is proposes."""
        between = self.even if natural is None else self.near
        parts: tuple[Design, ...] = (between, self.far, self.sparse, self.far)
        return parts[len(taken) % len(parts)].propose(limits, natural, taken, random)
