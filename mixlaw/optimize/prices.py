"""What the active limits cost: the loss that would be saved by relaxing each of them a little."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixlaw.limits import Limits
from mixlaw.optimize.certificate import bound_prices
from mixlaw.optimize.interior_point import Solution, solve
from mixlaw.optimize.program import Program

ACTIVE = 1e-6
"""A limit is active when the optimum is this close to it, in its own unit."""

NOTICED = 1e-6
"""Price, nats per unit of the limit, below which an active limit costs nothing."""

STEP = 0.01
"""By how much a cap, floor, row or loss limit is relaxed to say what that saves."""

NOTHING = NOTICED * STEP
"""Saving, nats per token, up to which relaxing a limit saves nothing."""

MOST = 20
"""Limits whose saving is worked out by solving again; the rest keep their price alone."""


@dataclass(frozen=True)
class Active:
    """A limit that holds the optimum back, or several that only do so together.

    Attributes:
        limit: what it is, in words.
        domain: the domain of a cap or floor; None for others.
        price: how fast the objective falls at first as the limit is relaxed, nats per token per unit of the limit; at
            most so fast where several limits meet.
        saving: nats per token that one more epoch, 0.01 of a proportion or 0.01 nats of a loss limit would save: found
            by solving again, since the price alone promises too much. None where it was not worked out.
        words: what relaxing it a little is worth, in words.
    """

    limit: str
    domain: str | None
    price: float
    saving: float | None
    words: str

    @property
    def said(self) -> str:
        """The limit and what relaxing it is worth, as people are told."""
        return f"held back by the {self.limit}: {self.words}"


@dataclass(frozen=True)
class _Candidate:
    """A limit that the optimum is at, with its price and how to relax it a little."""

    limit: str
    domain: str | None
    price: float
    change: str
    relaxed: Callable[[Program], Program]


def active_limits(program: Program, best: Solution, names: tuple[str, ...], what: str = "loss") -> tuple[Active, ...]:
    """The limits that hold an optimum back, dearest first.

    A limit that the optimum merely touches is not among them: relaxing it saves nothing. Where two limits say the same,
    neither alone saves anything either, so those are relaxed together.

    Args:
        program: convex.
        best: its solution.
        names: of the kept ceilings, in words.
        what: the objective, in words.
    """
    costly = sorted(
        (candidate for candidate in _candidates(program, best, names) if candidate.price > NOTICED),
        key=lambda candidate: -candidate.price,
    )
    tried = [(candidate, _saving(program, best, [candidate])) for candidate in costly[:MOST]]
    alone = [
        Active(
            candidate.limit,
            candidate.domain,
            candidate.price,
            saving,
            f"{candidate.change} would lower the {what} by {_in_nats(saving)}",
        )
        for candidate, saving in tried
        if saving > NOTHING
    ]
    together = _together(program, best, [candidate for candidate, saving in tried if saving <= NOTHING], what)
    rest = [
        Active(
            candidate.limit,
            candidate.domain,
            candidate.price,
            None,
            f"relaxing it lowers the {what} by {candidate.price:.4g} nats per unit at first",
        )
        for candidate in costly[MOST:]
    ]
    return (*alone, *together, *rest)


def _saving(program: Program, best: Solution, relaxed: Sequence[_Candidate]) -> float:
    """Nats per token by which the optimum falls when these limits are relaxed at once."""
    for candidate in relaxed:
        program = candidate.relaxed(program)
    return max(best.value - solve(program, start=best.proportions).value, 0.0)


def _together(program: Program, best: Solution, idle: list[_Candidate], what: str) -> list[Active]:
    """The fewest of some limits, each of which saves nothing alone, that save as much together as all of them do."""
    saving = _saving(program, best, idle)
    if saving <= NOTHING:
        return []
    for candidate in tuple(idle):
        fewer = [other for other in idle if other is not candidate]
        if _saving(program, best, fewer) >= saving - NOTHING:
            idle = fewer
    return [
        Active(
            " and the ".join(candidate.limit for candidate in idle),
            None,
            sum(candidate.price for candidate in idle),
            saving,
            f"{' with '.join(candidate.change for candidate in idle)} would lower the {what} by {_in_nats(saving)}, "
            f"{'either' if len(idle) == 2 else 'any'} alone by nothing",
        )
    ]


def _in_nats(saving: float) -> str:
    return f"{saving:.4f} nats" if saving >= 5e-5 else "less than 0.0001 nats"


def _candidates(program: Program, best: Solution, names: tuple[str, ...]) -> list[_Candidate]:
    """Every limit that was asked for, leaves a choice, and is met with equality."""
    limits, proportions = program.limits, best.proportions
    caps, floors = bound_prices(program, proportions, best.multipliers)
    open_to_choice = limits.cap - limits.floor > ACTIVE
    at_cap = (limits.cap - proportions <= ACTIVE) & (limits.cap < 1) & open_to_choice
    at_floor = (proportions - limits.floor <= ACTIVE) & (limits.floor > 0) & open_to_choice
    at_row = limits.bounds - limits.rows @ proportions <= ACTIVE
    return [
        *(_cap(limits, j, float(caps[j])) for j in map(int, np.flatnonzero(at_cap))),
        *(_floor(limits, j, float(floors[j])) for j in map(int, np.flatnonzero(at_floor))),
        *(_row(limits, k, float(best.multipliers.rows[k])) for k in map(int, np.flatnonzero(at_row))),
        *_ceilings(program, best, names),
    ]


def _cap(limits: Limits, j: int, price: float) -> _Candidate:
    domain = limits.domains[j]
    reason = limits.reasons.get(domain, f"cap {limits.cap[j]:g}")
    supply, step, change = limits.supply, STEP, f"a cap of '{domain}' higher by {STEP:g}"
    if supply is not None and abs(supply.max_epochs * supply.per_epoch[j] - limits.cap[j]) <= 1e-12:
        step, change = float(supply.per_epoch[j]), f"one more epoch of '{domain}'"

    def raised(program: Program) -> Program:
        cap = program.limits.cap.copy()
        cap[j] = min(1.0, cap[j] + step)
        return replace(program, limits=replace(program.limits, cap=cap))

    return _Candidate(f"cap of '{domain}' at {limits.cap[j]:.4g} ({reason})", domain, price, change, raised)


def _floor(limits: Limits, j: int, price: float) -> _Candidate:
    domain, step = limits.domains[j], min(STEP, float(limits.floor[j]))

    def lowered(program: Program) -> Program:
        floor = program.limits.floor.copy()
        floor[j] -= step
        return replace(program, limits=replace(program.limits, floor=floor))

    change = f"a floor of '{domain}' lower by {step:.3g}"
    return _Candidate(f"floor of '{domain}' at {limits.floor[j]:.4g}", domain, price, change, lowered)


def _row(limits: Limits, k: int, price: float) -> _Candidate:
    name = limits.names[k] if k < len(limits.names) else f"row {k + 1}"

    def relaxed(program: Program) -> Program:
        bounds = program.limits.bounds.copy()
        bounds[k] += STEP
        return replace(program, limits=replace(program.limits, bounds=bounds))

    return _Candidate(f"limit '{name}'", None, price, f"relaxing '{name}' by {STEP:g}", relaxed)


def _ceilings(program: Program, best: Solution, names: tuple[str, ...]) -> list[_Candidate]:
    ceilings, excess = program.ceilings, program.at(best.proportions).excess
    kept = np.flatnonzero(~ceilings.lifted)
    return [
        _ceiling(f"{name} at most {ceilings.bounds[k]:.6g}", name, int(k), float(best.multipliers.ceilings[k]))
        for name, k in zip(names, kept, strict=True)
        if excess[k] >= -ACTIVE
    ]


def _ceiling(limit: str, name: str, k: int, price: float) -> _Candidate:
    def raised(program: Program) -> Program:
        bounds = program.ceilings.bounds.copy()
        bounds[k] += STEP
        return replace(program, ceilings=replace(program.ceilings, bounds=bounds))

    return _Candidate(limit, None, price, f"allowing the {name} {STEP:g} more", raised)
