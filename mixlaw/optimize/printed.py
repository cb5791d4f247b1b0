"""The mixture as it is printed: few decimals that sum to 1 exactly, and still certified."""

from mixlaw.design.within import rounded_within
from mixlaw.mixture import Array
from mixlaw.optimize.interior_point import Solution
from mixlaw.optimize.program import Program

DECIMALS = (6, 9, 12, 15)
WORTH_KEEPING = 1e-9
"""Nats per token that rounding may cost; no loss can be measured so well."""

FEASIBLE = 1e-12
"""Largest violation of any limit that a printed mixture may have."""


def printed(program: Program, solution: Solution) -> Array:
    """Round a solution (M,) to the fewest decimals that keep its limits and its gap.

    The lower bound holds for every mixture, so the gap of the rounded one is its own objective minus that bound: it is
    verified again, not assumed.
    """
    allowed = max(FEASIBLE, program.violation(solution.proportions))
    worst = max(solution.gap, 0.0) + WORTH_KEEPING / 2
    for decimals in DECIMALS:
        candidate = rounded_within(solution.proportions, program.limits, decimals)
        if candidate is solution.proportions:
            continue
        if program.violation(candidate) <= allowed and program.value(candidate) - solution.lower_bound <= worst:
            return candidate
    return solution.proportions
