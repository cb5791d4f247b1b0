"""Mixtures drawn from a symmetric Dirichlet distribution."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlaw.design.base import Design
from mixlaw.design.within import within
from mixlaw.limits import Limits
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Dirichlet(Design):
    """Symmetric draws, blind to how much of each domain there is.

    Concentration 1 is uniform over the simplex: with many domains nearly every draw lies in the middle. Below 1 the
    draws reach towards corners and edges, with most domains nearly absent, which is where a single target has its
    optimum and where an effect is seen above the noise of a run.

    Args:
        concentration: of every domain; 1 is uniform, 0.3 is sparse.
    """

    concentration: float = 0.3

    attempts = 64

    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """The first of some draws that meets the limits, or one moved into them where they are too tight for chance."""
        tried = draws(self.attempts, len(limits.domains), self.concentration, random)
        inside = [row for row in tried if limits.allows(row)]
        chosen: Array = inside[0] if inside else within(tried[:1], limits)[0]
        return chosen


def draws(count: int, domain_count: int, concentration: float, random: np.random.Generator) -> Array:
    """(count, M) draws; proportions too small for a float are 0."""
    gammas = random.standard_gamma(concentration, (count, domain_count))
    # At small concentrations every gamma of a row can underflow; the largest exponent then decides in log space.
    empty = gammas.sum(axis=1) <= 0
    gammas[empty] = np.eye(domain_count)[random.integers(domain_count, size=int(empty.sum()))]
    proportions: Array = gammas / gammas.sum(axis=1, keepdims=True)
    return proportions
