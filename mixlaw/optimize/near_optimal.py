"""Which other mixtures are as good: how far each proportion can move before the loss is felt."""

from dataclasses import replace

import numpy as np

from mixlaw.mixture import Array
from mixlaw.optimize.interior_point import Solution, solve
from mixlaw.optimize.program import Ceilings, Program

ENOUGH = 1e-6
"""Proportion to which the ends of a range are found."""


def within_slack(program: Program, level: float) -> Program:
    """The allowed mixtures whose objective is at most `level`, as a program with nothing left to minimise."""
    lifted = program.ceilings.lifted[:, None]
    ceilings = replace(
        program.ceilings,
        weights=program.ceilings.weights + lifted * program.weights,
        kl=program.ceilings.kl + lifted[:, 0] * program.kl,
        bounds=program.ceilings.bounds + lifted[:, 0] * level,
        lifted=np.zeros(len(lifted), dtype=bool),
    )
    if not program.lifts:
        ceilings = ceilings + Ceilings.of(program.weights[None], np.array([level]), kl=program.kl)
    return replace(program, weights=0 * program.weights, kl=0.0, ceilings=ceilings)


def ranges(program: Program, best: Solution, slack: float) -> Array:
    """Smallest and largest proportion of each domain over all allowed mixtures within `slack` nats of the best.

    A convex loss is flat at its optimum: domains trade places at hardly any cost, and one mixture alone would hide it.
    The set is convex, so its extent along each domain is two convex programs, each stopped by its own certificate.

    Args:
        program: convex.
        best: its solution.
        slack: nats per token above the best objective.

    Returns:
        (M, 2).
    """
    near = within_slack(program, best.value + slack)
    found = np.empty((len(best.proportions), 2))
    for domain, proportion in enumerate(best.proportions):
        for end, sign in enumerate((1.0, -1.0)):
            price = np.zeros(len(best.proportions))
            price[domain] = sign
            reached = solve(replace(near, price=price), tolerance=ENOUGH, start=best.proportions)
            ends = reached.proportions[domain] if near.violation(reached.proportions) <= ENOUGH else proportion
            found[domain, end] = sign * min(sign * ends, sign * proportion)
    floor, cap = program.limits.floor[:, None], program.limits.cap[:, None]
    at_floor = np.where(found - floor <= ENOUGH, floor, found)
    return np.where(cap - at_floor <= ENOUGH, cap, at_floor)
