"""Programs about the largest of several losses: the worst case over targets, and whether loss limits can be met."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws.base import MixingLaw
from mixlaw.limits import Limits
from mixlaw.mixture import Array
from mixlaw.optimize.interior_point import FEASIBLE, Solution, solve
from mixlaw.optimize.program import Ceilings, Program


def worst_case(
    law: MixingLaw,
    limits: Limits,
    counted: Array,
    *,
    kl: float = 0.0,
    prior: Array | None = None,
    ceilings: Ceilings | None = None,
) -> Program:
    """The least largest loss among the targets that count: min over r of max over v of loss_v(r).

    Args:
        law: V losses.
        limits: the allowed mixtures.
        counted: (V,) the targets with a positive entry take part; how large it is plays no role.
        kl, prior, ceilings: as in `Program.mean`.
    """
    alone = np.eye(len(counted))[np.flatnonzero(counted > 0)]
    return least_largest(law, limits, alone, kl=kl, prior=prior, ceilings=ceilings)


def least_largest(
    law: MixingLaw,
    limits: Limits,
    weightings: Array,
    *,
    kl: float = 0.0,
    prior: Array | None = None,
    ceilings: Ceilings | None = None,
) -> Program:
    """The least largest of several weighted losses: min over r of max over k of weightings[k]·loss(r), k of (K, V)."""
    lifted = Ceilings.of(weightings, np.zeros(len(weightings)), lifted=True)
    program = Program.mean(law, limits, np.zeros(weightings.shape[1]), kl=kl, prior=prior)
    return replace(program, ceilings=lifted + ceilings if ceilings is not None else lifted)


def least_excess(program: Program) -> Solution:
    """The allowed mixture whose largest excess over the kept ceilings is least, certified.

    Its lower bound is above 0 exactly when no allowed mixture keeps every ceiling: a proof that they cannot be met.
    """
    kept = ~program.ceilings.lifted
    ceilings = Ceilings(
        program.ceilings.weights[kept],
        program.ceilings.kl[kept],
        program.ceilings.bounds[kept],
        np.ones(int(kept.sum()), dtype=bool),
    )
    return solve(replace(program, weights=0 * program.weights, price=0 * program.price, kl=0.0, ceilings=ceilings))


def start_within(program: Program, names: Sequence[str]) -> Array | None:
    """A mixture (M,) that keeps every ceiling of a program, to start from; None where it has none.

    Args:
        program: convex.
        names: of the kept ceilings, in words ("loss of 'code'").

    Raises:
        Refused: if the ceilings cannot be met, with the smallest value that each can have.
    """
    if program.ceilings.lifted.all():
        return None
    nearest = least_excess(program)
    if nearest.lower_bound <= FEASIBLE:
        return nearest.proportions
    kept = np.flatnonzero(~program.ceilings.lifted)
    alone = {name: _least_alone(program, int(place)) for name, place in zip(names, kept, strict=True)}
    asked = program.ceilings.bounds[kept]
    above = [
        f"the {name} can be brought to {_rounded_up(least):.4f} at the lowest, not to {bound:.6g}"
        for (name, least), bound in zip(alone.items(), asked, strict=True)
        if least > bound
    ]
    if above:
        raise Refused(f"under the other limits {'; '.join(above)}; raise the limit, or relax caps and floors")
    listed = ", ".join(f"{name} <= {bound:.6g}" for name, bound in zip(names, asked, strict=True))
    raise Refused(
        f"no allowed mixture meets all of {listed}: whichever it is, one is exceeded by at least "
        f"{nearest.lower_bound:.4g} nats; raise all of them by {_rounded_up(nearest.value):.4f}, or one by more"
    )


def _least_alone(program: Program, place: int) -> float:
    """The certified least value of one ceiling's left-hand side under the limits of the mixture alone."""
    alone = replace(
        program,
        weights=program.ceilings.weights[place],
        kl=float(program.ceilings.kl[place]),
        price=0 * program.price,
        ceilings=Ceilings.none(len(program.weights)),
    )
    return solve(alone).lower_bound


def _rounded_up(value: float) -> float:
    """Up to four decimals, so that a limit copied from a message can be met."""
    return float(np.ceil(value * 1e4 + 1e-6) / 1e4)
