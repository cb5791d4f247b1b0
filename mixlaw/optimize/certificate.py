"""Proof of how good a mixture is: a bound that no allowed mixture goes below, computed apart from any solver.

For a convex law every tangent is a bound from below, and for any multipliers of the limits (non-negative for an
inequality) the Lagrangian is a bound on what the limits allow (weak duality; Boyd & Vandenberghe 2004, chapter 5):

    min_{r allowed} F(r) >= ω·L(q) - θ·τ - λ·b + min_{floor <= r <= cap, sum r = 1} [ ω·∇L(q)(r - q) + (c + λA)·r
                                                                                      + κ KL(r‖prior) ]

with q any mixture, θ and λ any multipliers of ceilings and rows, ω = weights + θ·Θ, κ = kl + θ·φ. The last minimum is
a sort when κ = 0 (Frank & Wolfe 1956; Jaggi 2013) and a clipped softmax when κ > 0. Only what is evaluated here is
trusted: multipliers from a solver that went wrong give a bound that is loose, never one that is false. That holds of
the arithmetic too: what rounding may have added is taken off, which is felt only where multipliers are enormous, as
those of limits that leave next to no room are.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from mixlaw.mixture import Array
from mixlaw.optimize.program import SMALLEST, Point, Program

ROUNDING = 8 * float(np.finfo(float).eps)
"""Share of the size of the terms of a sum by which rounding may put it off: each term is a few operations old."""

SETTLED = 1e-12
"""Room between floor and cap, or what is left to fill, that counts as none."""


@dataclass(frozen=True)
class Multipliers:
    """Prices of the limits that are not floors, caps or the sum.

    Attributes:
        ceilings: (m,) at least 0; those of lifted ceilings sum to 1.
        rows: (k,) at least 0.
    """

    ceilings: Array
    rows: Array


def lower_bound(program: Program, proportions: Array, multipliers: Multipliers, point: Point | None = None) -> float:
    """Bound the program's objective from below over all allowed mixtures.

    Args:
        program: convex.
        proportions: (M,) where the tangent is taken; the bound is tight at the optimum with its multipliers.
        multipliers: any; they are made admissible here.
        point: the program evaluated at `proportions`, where that is at hand.

    Returns:
        Nats per token.
    """
    ceilings, rows = _admissible(program, multipliers)
    limits, point = program.limits, point or program.at(proportions)
    weights = program.weights + ceilings @ program.ceilings.weights
    kl = program.kl + float(ceilings @ program.ceilings.kl)
    tangent = weights @ point.slopes
    slope = tangent + program.price + rows @ limits.rows
    if kl > 0 and program.prior is not None:
        least = composite_minimum(slope, kl, program.prior, limits.floor, limits.cap)
    else:
        least = linear_minimum(slope, limits.floor, limits.cap)
    terms = (weights * point.losses, -ceilings * program.ceilings.bounds, -rows * limits.bounds, -tangent * proportions)
    return least + _least_sum(np.concatenate(terms))


def bound_prices(program: Program, proportions: Array, multipliers: Multipliers) -> tuple[Array, Array]:
    """How fast the objective falls as each cap rises (M,) and as each floor is lowered (M,), nats per unit.

    It is what the slope leaves once rows and ceilings have their prices: a domain is worth its slope less that of the
    domain that fills the mixture up, which is where a freed proportion comes from or goes to. At an optimum the limits
    that are not met have a price of 0. Where more limits meet than decide the mixture, prices are not unique, and the
    fall is at most so fast.

    Args:
        program: convex.
        proportions: (M,) an optimum.
        multipliers: of rows and ceilings there.
    """
    ceilings, rows = _admissible(program, multipliers)
    limits, point = program.limits, program.at(proportions)
    slope = point.slope + ceilings @ point.excess_slope + rows @ limits.rows
    room = limits.cap - limits.floor
    free = np.flatnonzero(room > SETTLED)
    if not len(free):
        return np.zeros(len(slope)), np.zeros(len(slope))
    order = free[np.argsort(slope[free], kind="stable")]
    last = int(np.searchsorted(np.cumsum(room[order]), 1.0 - limits.floor.sum() - SETTLED))
    sum_price = slope[order[min(last, len(order) - 1)]]
    return np.maximum(sum_price - slope, 0.0), np.maximum(slope - sum_price, 0.0)


def gap_of(program: Program, proportions: Array, multipliers: Multipliers | None = None) -> float:
    """Bound how much any allowed mixture could improve on this one, nats per token.

    Without `multipliers`, those of rows and ceilings are found by a linear program of HiGHS on the tangents.
    """
    if multipliers is None:
        multipliers = tangent_multipliers(program, proportions)
    return program.value(proportions) - lower_bound(program, proportions, multipliers)


def linear_minimum(slope: Array, floor: Array, cap: Array) -> float:
    """Least slope·r over {sum r = 1, floor <= r <= cap}: fill up the cheapest domains first."""
    return _least_sum(slope * cheapest_mixture(slope, floor, cap))


def cheapest_mixture(slope: Array, floor: Array, cap: Array) -> Array:
    """The mixture (M,) of least slope·r over {sum r = 1, floor <= r <= cap}, by a sort."""
    order = np.argsort(slope, kind="stable")
    room = (cap - floor)[order]
    before = np.concatenate([[0.0], np.cumsum(room)[:-1]])
    filled: Array = floor.copy()
    filled[order] += np.clip(1.0 - floor.sum() - before, 0.0, room)
    return filled


def composite_minimum(slope: Array, kl: float, prior: Array, floor: Array, cap: Array) -> float:
    """Bound slope·r + kl KL(r‖prior) from below over {sum r = 1, floor <= r <= cap}; tight but for rounding.

    For a price ν of the sum each domain stands alone and is least at clip(prior exp(-(slope + ν) / kl - 1)). The value
    at any ν is a bound, so the root in ν of "the sum is 1", found by safeguarded Newton steps, need not be exact.
    """
    free = cap > 0
    slope, prior, floor, cap = slope[free], np.maximum(prior[free], SMALLEST), floor[free], cap[free]
    logit = np.log(prior) - slope / kl - 1.0
    low = -float(logit.max()) - 80.0
    high = float((np.log(cap) - logit).max())
    shift = min(max(-float(logit.max()), low), high)
    for _ in range(100):
        raised = np.exp(np.minimum(logit + shift, 1.0))
        share = np.clip(raised, floor, cap)
        off = float(share.sum()) - 1.0
        if abs(off) <= 1e-13 or high - low <= 1e-15 * max(1.0, abs(shift)):
            break
        low, high = (low, shift) if off > 0 else (shift, high)
        steep = float(raised[(raised > floor) & (raised < cap)].sum())
        step = shift + np.log1p(-off / steep) if steep > max(off, 0.0) else np.inf
        shift = step if low < step < high else (low + high) / 2
    price = -kl * shift
    entropy = share * np.log(np.maximum(share, SMALLEST) / prior)
    doubt = ROUNDING * kl * float(share.sum())  # each logarithm is off by its argument's rounding, however small it is
    return _least_sum(np.concatenate([(slope + price) * share, kl * entropy, [-price]])) - doubt


def _least_sum(terms: Array) -> float:
    """The least that a sum can be, its terms and itself having been rounded."""
    return float(terms.sum()) - ROUNDING * float(np.abs(terms).sum())


def tangent_multipliers(program: Program, proportions: Array) -> Multipliers:
    """Multipliers (m,), (k,) of the program's linearisation at one mixture, by HiGHS; KL terms are linearised too."""
    point, limits, ceilings = program.at(proportions), program.limits, program.ceilings
    count, lifts = len(proportions), program.lifts
    offsets = point.excess_slope @ proportions - point.excess
    level = np.concatenate([-ceilings.lifted.astype(float), np.zeros(len(limits.bounds))])
    answer = linprog(
        np.append(point.slope, float(lifts)),
        A_ub=np.column_stack([np.vstack([point.excess_slope, limits.rows]), level]),
        b_ub=np.concatenate([offsets, limits.bounds]),
        A_eq=np.append(np.ones(count), 0.0)[None],
        b_eq=[1.0],
        bounds=[*zip(limits.floor, limits.cap, strict=True), (None, None) if lifts else (0.0, 0.0)],
        method="highs",
    )
    if answer.status != 0:
        return Multipliers(np.zeros(len(offsets)), np.zeros(len(limits.bounds)))
    prices = -answer.ineqlin.marginals
    return Multipliers(prices[: len(offsets)], prices[len(offsets) :])


def _admissible(program: Program, multipliers: Multipliers) -> tuple[Array, Array]:
    """Multipliers with the signs, and the sum over lifted ceilings, that weak duality needs."""
    ceilings = np.maximum(multipliers.ceilings, 0.0)
    if program.lifts:
        lifted = program.ceilings.lifted
        total = float(ceilings[lifted].sum())
        ceilings[lifted] = ceilings[lifted] / total if total > 0 else 1 / lifted.sum()
    return ceilings, np.maximum(multipliers.rows, 0.0)
