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
    """Half sparse draws, a quarter even draws, a quarter in the gaps between them.

    Mixtures come in fours: Dirichlet(0.3), Dirichlet(1), Dirichlet(0.3), and the mixture farthest from all before it
    in square-root proportions. Sparse draws find optima at corners and edges, even draws those inside, the fourth sees
    to it that no part of the simplex stays empty by chance. `make bench-designs` measures it against its parts.
    """

    parts = (Dirichlet(0.3), Dirichlet(1.0), Dirichlet(0.3), Maximin())

    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """The part whose turn it is proposes."""
        return self.parts[len(taken) % len(self.parts)].propose(limits, natural, taken, random)
