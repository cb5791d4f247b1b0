"""The design to use unless there is a reason not to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlaw.design.base import Design
from mixlaw.design.dirichlet import Dirichlet
from mixlaw.design.maximin import Maximin
from mixlaw.limits import Limits
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Default(Design):
    """Two thirds as far apart as can be, a sixth sparse draws, a sixth even draws.

    Mixtures come in sixes: Dirichlet(0.3), two that are farthest from all before them in square-root proportions,
    Dirichlet(1), and two farthest again. The far ones see every domain nearly alone and in pairs, which is what finds
    an optimum at a corner; the draws see several domains at once, without which a law can believe in gains from mixing
    that no run has contradicted. `make bench-designs` measures the whole against its parts.
    """

    parts = (Dirichlet(0.3), Maximin(), Maximin(), Dirichlet(1.0), Maximin(), Maximin())

    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """The part whose turn it is proposes."""
        return self.parts[len(taken) % len(self.parts)].propose(limits, natural, taken, random)
