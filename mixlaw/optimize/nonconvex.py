"""The best mixture found for a law that is not convex: many starts, no proof."""

from dataclasses import dataclass

import numpy as np

from mixlaw.design.within import within
from mixlaw.mixture import Array
from mixlaw.optimize.certificate import cheapest_mixture
from mixlaw.optimize.program import Program

STEPS = (0.25, 0.1, 0.04, 0.016, 0.006, 0.0025, 0.001, 0.0004, 0.0001)
"""Proportions moved from one domain to another, tried in turn."""

DRAWN = 48
"""Starts drawn at random, with a fixed seed, beside those that are given and the corners."""

KEPT = 12
"""Starts worth following: the best of them all before any step."""

PATIENCE = 200
"""Moves of one size before the next size is tried."""

SEED = 20240325


@dataclass(frozen=True)
class Found:
    """The best mixture of a search.

    Attributes:
        proportions: (M,).
        value: objective there.
        others: objectives at the ends of the other searches: how much they differ says how little is proved.
    """

    proportions: Array
    value: float
    others: tuple[float, ...]


def search(program: Program, starts: Array) -> Found:
    """Move proportions between pairs of domains as long as that helps, from many starts; deterministic.

    No slopes are used, so it serves trees and Gaussian processes as well as formulas.

    Args:
        program: its law need not be convex, nor smooth.
        starts: (n, M) mixtures worth starting from, such as those measured; brought into the limits first.
    """
    limits, count = program.limits, len(program.limits.domains)
    drawn = np.random.default_rng(SEED).dirichlet(np.full(count, 0.5), DRAWN)
    inside = within(np.vstack([starts, drawn, np.full((1, count), 1 / count)]), limits)
    corners = np.array([cheapest_mixture(-row, limits.floor, limits.cap) for row in np.eye(count)])
    corners = corners[[limits.allows(corner) for corner in corners]]
    pool = np.vstack([inside, corners])
    order = np.argsort(program.ranks(pool), kind="stable")
    ends = [_descend(program, pool[place]) for place in order[:KEPT]]
    ends.sort(key=lambda end: end[1])
    return Found(ends[0][0], ends[0][1], tuple(value for _, value in ends[1:]))


def _descend(program: Program, proportions: Array) -> tuple[Array, float]:
    limits, value = program.limits, float(program.ranks(proportions[None])[0])
    count = len(proportions)
    source, target = (places.ravel() for places in np.meshgrid(range(count), range(count), indexing="ij"))
    source, target = source[source != target], target[source != target]
    for step in STEPS:
        for _ in range(PATIENCE):
            room = np.minimum(proportions - limits.floor, step)[source]
            amount = np.minimum(room, (limits.cap - proportions)[target])
            moves = np.flatnonzero(amount > 1e-9)
            tried = np.repeat(proportions[None], len(moves), axis=0)
            tried[range(len(moves)), source[moves]] -= amount[moves]
            tried[range(len(moves)), target[moves]] += amount[moves]
            tried = tried[(tried @ limits.rows.T <= limits.bounds + 1e-12).all(axis=1)]
            if not len(tried):
                break
            values = program.ranks(tried)
            best = int(values.argmin())
            if not values[best] < value - 1e-12:
                break
            proportions, value = tried[best], float(values[best])
    return proportions, value
