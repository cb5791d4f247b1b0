"""What the active limits cost: the loss that would be saved by relaxing each of them a little."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mixlaw.limits import Limits
from mixlaw.mixture import Array
from mixlaw.optimize.interior_point import Solution, solve
from mixlaw.optimize.program import Program

ACTIVE = 1e-6
"""A limit is active when the optimum is this close to it, in its own unit."""

NOTICED = 1e-6
"""Price, nats per unit of the limit, below which an active limit costs nothing."""

STEP = 0.01
"""By how much a cap, floor, row or loss limit is relaxed to say what that saves."""

MOST = 20
"""Limits whose saving is worked out by solving again; the rest keep their price alone."""


@dataclass(frozen=True)
class Active:
    """A limit that holds the optimum back.

    Attributes:
        limit: what it is, in words.
        domain: the domain of a cap or floor; None for others.
        price: how fast the objective falls as the limit is relaxed, nats per token per unit of the limit.
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
    limit: str
    domain: str | None
    price: float
    change: str
    relaxed: Callable[[], Program]


def active_limits(program: Program, best: Solution, names: tuple[str, ...]) -> tuple[Active, ...]:
    """The limits that hold an optimum back, dearest first.

    Args:
        program: convex.
        best: its solution.
        names: of the kept ceilings, in words.
    """
    limits = program.limits
    found = [
        *(_cap(program, int(j), best.cap_prices) for j in np.flatnonzero(limits.cap - best.proportions <= ACTIVE)),
        *(
            _floor(program, int(j), best.floor_prices)
            for j in np.flatnonzero(best.proportions - limits.floor <= ACTIVE)
        ),
        *(
            _row(program, int(k), best.multipliers.rows)
            for k in np.flatnonzero(limits.bounds - limits.rows @ best.proportions <= ACTIVE)
        ),
        *_ceilings(program, best, names),
    ]
    costly = sorted(
        (candidate for candidate in found if candidate is not None and candidate.price > NOTICED),
        key=lambda candidate: -candidate.price,
    )
    return tuple(_worked_out(candidate, best, place < MOST) for place, candidate in enumerate(costly))


def _worked_out(candidate: _Candidate, best: Solution, solve_again: bool) -> Active:
    saving = None
    words = f"relaxing it lowers the loss by {candidate.price:.4g} nats per unit at first"
    if solve_again:
        saving = max(best.value - solve(candidate.relaxed(), start=best.proportions).value, 0.0)
        words = f"{candidate.change} would lower the loss by {saving:.4f} nats"
    return Active(candidate.limit, candidate.domain, candidate.price, saving, words)


def _cap(program: Program, j: int, prices: Array) -> _Candidate | None:
    limits, domain = program.limits, program.limits.domains[j]
    if limits.cap[j] >= 1 or limits.cap[j] - limits.floor[j] <= ACTIVE:
        return None
    reason = limits.reasons.get(domain, f"cap {limits.cap[j]:g}")
    supply, step, change = limits.supply, STEP, f"a cap of '{domain}' higher by {STEP:g}"
    if supply is not None and abs(supply.max_epochs * supply.per_epoch[j] - limits.cap[j]) <= 1e-12:
        step, change = float(supply.per_epoch[j]), f"one more epoch of '{domain}'"
        if step == 0:
            step, change = STEP, f"enough of '{domain}' for a proportion of {STEP:g}"
    raised = limits.cap.copy()
    raised[j] = min(1.0, raised[j] + step)
    return _Candidate(
        f"cap of '{domain}' at {limits.cap[j]:.4g} ({reason})",
        domain,
        float(prices[j]),
        change,
        lambda: _with(program, replace(limits, cap=raised)),
    )


def _floor(program: Program, j: int, prices: Array) -> _Candidate | None:
    limits, domain = program.limits, program.limits.domains[j]
    if limits.floor[j] <= 0 or limits.cap[j] - limits.floor[j] <= ACTIVE:
        return None
    lowered = limits.floor.copy()
    step = min(STEP, float(lowered[j]))
    lowered[j] -= step
    return _Candidate(
        f"floor of '{domain}' at {limits.floor[j]:.4g}",
        domain,
        float(prices[j]),
        f"a floor of '{domain}' lower by {step:.3g}",
        lambda: _with(program, replace(limits, floor=lowered)),
    )


def _row(program: Program, k: int, prices: Array) -> _Candidate:
    limits = program.limits
    bounds = limits.bounds.copy()
    bounds[k] += STEP
    name = limits.names[k] if k < len(limits.names) else f"row {k + 1}"
    return _Candidate(
        f"limit '{name}'",
        None,
        float(prices[k]),
        f"relaxing '{name}' by {STEP:g}",
        lambda: _with(program, replace(limits, bounds=bounds)),
    )


def _ceilings(program: Program, best: Solution, names: tuple[str, ...]) -> list[_Candidate]:
    ceilings = program.ceilings
    excess = program.at(best.proportions).excess
    kept = np.flatnonzero(~ceilings.lifted)
    found = []
    for name, k in zip(names, kept, strict=True):
        if excess[k] < -ACTIVE:
            continue
        bounds = ceilings.bounds.copy()
        bounds[k] += STEP
        found.append(
            _Candidate(
                f"{name} at most {ceilings.bounds[k]:.6g}",
                None,
                float(best.multipliers.ceilings[k]),
                f"allowing the {name} {STEP:g} more",
                lambda bounds=bounds: replace(program, ceilings=replace(ceilings, bounds=bounds)),  # type: ignore[misc]
            )
        )
    return found


def _with(program: Program, limits: Limits) -> Program:
    return replace(program, limits=limits)
