"""Mixtures as far from each other as can be, in square-root proportions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlaw.design.base import Design
from mixlaw.design.dirichlet import draws
from mixlaw.design.within import within
from mixlaw.limits import Limits
from mixlaw.mixture import Array

UNSEEN = 1e-3
"""Added to every proportion: a domain at a ten-thousandth is to a loss as if it were not there."""


@dataclass(frozen=True)
class Maximin(Design):
    """Each mixture is the candidate farthest from its nearest neighbour among those taken.

    Distance is Euclidean in square-root proportions (nearly the Hellinger distance): a loss that falls as a power of a
    proportion changes as much between 0 and 0.01 as between 0.25 and 0.36, and the square root spreads runs the same
    way. Johnson, Moore & Ylvisaker 1990 describe maximin designs; taking the farthest point greedily comes within a
    factor of 2 of the best for every number of points at once (Gonzalez 1985).

    Args:
        candidates: mixtures drawn to choose from, afresh for every proposal.
        concentrations: of the symmetric Dirichlet draws that make the candidates, in equal parts: from corners to
            the middle.
    """

    candidates: int = 2048
    concentrations: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)

    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """The farthest of the candidates; the first of all is the most central."""
        each = self.candidates // len(self.concentrations)
        pool = np.vstack([draws(each, len(limits.domains), value, random) for value in self.concentrations])
        pool = within(pool, limits)
        roots = np.sqrt(pool + UNSEEN)
        if not taken:
            central = roots - roots.mean(axis=0)
            return np.array(pool[np.argmin((central**2).sum(axis=1))])
        known = np.sqrt(np.array(taken) + UNSEEN)
        squares = (roots**2).sum(axis=1)[:, None] - 2 * roots @ known.T + (known**2).sum(axis=1)
        return np.array(pool[np.argmax(squares.min(axis=1))])
