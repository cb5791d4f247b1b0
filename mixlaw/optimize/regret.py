"""What a choice may lose: the best mixtures of laws that fit the runs as well."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixlaw.design.dirichlet import draws
from mixlaw.design.within import within
from mixlaw.fitting.law import LawAtScale
from mixlaw.limits import Limits
from mixlaw.mixture import Array

LAWS_DRAWN = 512
EACH = 160
"""Mixtures of each concentration that are moved toward the best by each step."""
CONCENTRATIONS = (0.3, 1.0)
NEAR = (0.03, 0.1, 0.3)
"""Shares of the way from the best mixture to another that count as near it."""

INFLATION = 30.0
"""A law that has not seen the corner where the best mixture lies is too sure of it: with 48 and 96 runs of 17 domains
the true regret of a target whose best mixture is at a corner was 14 times the expected one in the mean, and within this
many times in nine of ten swarms (`make bench-designs`)."""


@dataclass(frozen=True)
class Regret:
    """How laws that the runs leave open would have chosen.

    Attributes:
        pool: (n, M) mixtures among which each law chose; the first is the best mixture of the fitted law.
        winners: (d,) the place in the pool of each drawn law's best mixture.
        expected: mean over the drawn laws of how much the first mixture loses to each law's own best, nats per token.
    """

    pool: Array
    winners: NDArray[np.int64]
    expected: float

    @property
    def inflated(self) -> float:
        """What to hold against a tolerance: the expected regret, times what a law may be too sure by."""
        return INFLATION * self.expected

    @property
    def chance(self) -> Array:
        """(n,) share of the drawn laws for which each mixture of the pool is best."""
        return np.bincount(self.winners, minlength=len(self.pool)) / len(self.winners)


def regret_of(
    laws: Sequence[LawAtScale], best: Array, weights: Array, limits: Limits, random: np.random.Generator
) -> Regret:
    """Draw laws from what the runs leave open, and let each choose among mixtures all over and near the best.

    The laws are drawn through their losses at the pool, which the delta method says are jointly normal: no law is
    refitted, and any law that can say how sure it is can be asked. Rivals that the runs cannot tell from the law that
    chose have an equal say: a straight line is sure of its corner until a curve is asked.

    Args:
        laws: the law that chose and its rivals, at one scale.
        best: (M,) the mixture that was chosen.
        weights: (V,) importance of the targets.
        limits: what the best mixture must meet.
        random: of the draws.
    """
    pool = np.vstack([best[None], around(best, limits, random, (*NEAR, 1.0))])
    each = -(-LAWS_DRAWN // len(laws))
    losses = np.vstack(
        [at.law.predict(pool) @ weights + at.uncertainty.drawn(pool, weights, each, random) for at in laws]
    )
    winners = np.argmin(losses, axis=1)
    return Regret(pool, winners, float(np.mean(losses[:, 0] - losses.min(axis=1))))


def around(best: Array, limits: Limits, random: np.random.Generator, steps: tuple[float, ...]) -> Array:
    """Mixtures within the limits on the way from the best, moved into them if need be, to others."""
    drawn = [draws(EACH, len(best), value, random) for value in CONCENTRATIONS]
    inside = within(np.vstack([best[None], *drawn]), limits)
    return np.vstack([inside[0] + step * (inside[1:] - inside[0]) for step in steps])
