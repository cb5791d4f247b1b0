"""The best pair of mixtures for one length of the final phase, with its proof. Experimental."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog

from mixlaw.design.within import rounded_within
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.answer import CERTIFIED
from mixlaw.optimize.interior_point import Solution, solve
from mixlaw.optimize.program import Program
from mixlaw.optimize.two_stages import Staged, limits_in_turn

DECIMALS = (6, 9, 12, 15)

MET = 1e-9
"""Largest violation of a limit that counts as rounding."""

WORTH_KEEPING = 1e-8
"""Nats per token that rounding, and changing as little as can be, may cost."""

PhaseLimits = tuple[Limits, Limits, Limits]
"""On what the whole run reads, on its base and on its final mixture."""


@dataclass(frozen=True)
class AtShare:
    """The best pair of mixtures for one length of the final phase.

    Attributes:
        final_share: share of the tokens that the final phase reads.
        base, final: mixtures of the two phases.
        loss: predicted, nats per token.
        lower_bound: no allowed pair has a lower one.
        gap: the difference.
    """

    final_share: float
    base: Mixture
    final: Mixture
    loss: float
    lower_bound: float
    gap: float

    @property
    def certified(self) -> bool:
        """Whether the gap is below a millionth of a nat."""
        return self.gap <= CERTIFIED

    @property
    def total(self) -> Mixture:
        """What the whole run reads."""
        both = zip(self.base.proportions, self.final.proportions, strict=True)
        share = self.final_share
        return Mixture(self.base.domains, tuple((1 - share) * first + share * last for first, last in both))


def best_at(law: Staged, weights: Array, limits: PhaseLimits) -> AtShare:
    """The best pair for one length, changing as little between the phases as it may, in few decimals.

    Args:
        law: of both phases.
        weights: (V,) importance of the targets.
        limits: on what the whole run reads, on the base and on the final mixture.

    Raises:
        Refused: for limits that no pair meets.
    """
    share = law.final_share
    program = Program.mean(law, limits_in_turn(*limits, share), weights)
    solution = solve(program)
    candidates = [solution.proportions]
    calmer = _calmest(program, law, solution)
    if calmer is not None:
        candidates.insert(0, calmer)
    for candidate in candidates:
        for decimals in DECIMALS:
            rounded = _rounded(candidate, limits, share, decimals)
            if rounded is not None and _as_good(program, solution, rounded):
                return _found(program, solution, rounded, law)
    if solution.violation > MET:
        raise Refused(
            f"with a final share of {share:g} the solver met the limits only to within {solution.violation:.1e}; they "
            "leave next to no room: relax one"
        )
    return _found(program, solution, solution.proportions, law)


def _calmest(program: Program, law: Staged, solution: Solution) -> Array | None:
    """Of all pairs that feel the same, the one (2M,) whose phases differ least, by a linear program; None if it fails.

    Where no limit binds many pairs feel the same, one mixture throughout among them, and a solver stops at any.
    """
    count, limits = len(law.law.domains), program.limits
    base, final = np.eye(count) / (1 - law.final_share), np.eye(count) / law.final_share
    apart, slack = np.hstack([base, -final]), np.eye(count)
    answer = linprog(
        np.concatenate([np.zeros(2 * count), np.ones(count)]),
        A_ub=np.vstack(
            [
                np.hstack([apart, -slack]),
                np.hstack([-apart, -slack]),
                np.hstack([limits.rows, np.zeros((len(limits.rows), count))]),
            ]
        ),
        b_ub=np.concatenate([np.zeros(2 * count), limits.bounds]),
        A_eq=np.hstack([law.felt, np.zeros((count, count))]),
        b_eq=law.felt @ solution.proportions,
        bounds=[*zip(limits.floor, limits.cap, strict=True), *[(0, None)] * count],
        method="highs",
    )
    if answer.status != 0:
        return None
    found: Array = answer.x[: 2 * count]
    return found


def _rounded(proportions: Array, limits: PhaseLimits, share: float, decimals: int) -> Array | None:
    """A pair (2M,) with few decimals: the final mixture first, then the base within what is left; None if none fits."""
    whole, base, final = limits
    count = len(proportions) // 2
    tight = replace(final, rows=final.rows[:0], bounds=final.bounds[:0], cap=np.minimum(final.cap, whole.cap / share))
    last = rounded_within(proportions[count:] / share, tight, decimals)
    left = replace(
        base,
        rows=base.rows[:0],
        bounds=base.bounds[:0],
        floor=np.maximum(base.floor, (whole.floor - share * last) / (1 - share)),
        cap=np.minimum(base.cap, (whole.cap - share * last) / (1 - share)),
    )
    if (left.cap < left.floor).any() or abs(last.sum() - 1) > 1e-12:
        return None
    first = rounded_within(proportions[:count] / (1 - share), left, decimals)
    if abs(first.sum() - 1) > 1e-12:
        return None
    return np.concatenate([(1 - share) * first, share * last])


def _as_good(program: Program, solution: Solution, proportions: Array) -> bool:
    allowed = max(1e-12, program.violation(solution.proportions))
    worst = max(solution.gap, 0.0) + WORTH_KEEPING
    return program.violation(proportions) <= allowed and program.value(proportions) - solution.lower_bound <= worst


def _found(program: Program, solution: Solution, proportions: Array, law: Staged) -> AtShare:
    domains, share = law.law.domains, law.final_share
    count = len(domains)
    first, last = proportions[:count] / (1 - share), proportions[count:] / share
    value = program.value(proportions)
    bound = min(solution.lower_bound, value)
    base, final = (Mixture(domains, tuple(map(float, each / each.sum()))) for each in (first, last))
    return AtShare(share, base, final, value, bound, value - bound)
