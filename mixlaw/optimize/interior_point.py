"""A primal-dual interior point for convex programs in a mixture, stopped by its certificate.

Each iteration solves the Newton system of the perturbed optimality conditions twice with one factorisation, to predict
and to correct (Mehrotra 1992; Nocedal & Wright 2006, chapters 14 and 19). Ceilings and rows get slacks, so the start
need only lie inside the box. The Hessian of a law is low rank plus diagonal, and stays so with every limit added.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mixlaw.errors import Refused
from mixlaw.mixture import Array
from mixlaw.optimize.box import Box, Values
from mixlaw.optimize.certificate import Multipliers, lower_bound
from mixlaw.optimize.newton import LinAlgError, factorise
from mixlaw.optimize.program import Program

STOP = 1e-10
"""Gap, nats per token, at which the solver is content: far below anything a run could measure."""

FEASIBLE = 1e-13
"""Largest violation of a limit at which the solver is content."""

ITERATIONS = 100

LONG = 15
"""Steps after which the bound is taken at every one, and not only near the end: the end may never come."""

TO_THE_BOUNDARY = 0.995
"""Share of the way to the nearest bound that one step may go."""

BALANCE = 0.01
"""Least target of distances x prices, as a share of what the slope still lacks."""

HALVINGS = 40
"""How often a step may be halved."""

OVERSHOOT, NEGLIGIBLE = 0.5, 1e-12
"""A step may end where the Lagrangian rises along it by at most this share of its first fall, or by this much, nats."""


@dataclass(frozen=True)
class Solution:
    """Where the solver stopped.

    Attributes:
        proportions: (M,) the best mixture met.
        value: the program's objective there.
        lower_bound: no allowed mixture has a lower objective; the best bound met.
        multipliers: prices of ceilings and rows that prove it.
        violation: the largest violation of a limit or kept ceiling.
        iterations: Newton steps taken.
    """

    proportions: Array
    value: float
    lower_bound: float
    multipliers: Multipliers
    violation: float
    iterations: int

    @property
    def gap(self) -> float:
        """How much any allowed mixture could improve at most, nats per token."""
        return self.value - self.lower_bound

    @property
    def outside(self) -> float:
        """The violation, where it is more than rounding."""
        return 0.0 if self.violation <= FEASIBLE else self.violation


@dataclass(frozen=True)
class _Iterate:
    """Primal and dual variables, or a step in them.

    Attributes:
        x: (n,) free proportions, and the level of lifted ceilings last where there are any.
        distances: (2n + m,) to the floors, to the caps, and the slacks of ceilings and rows.
        prices: (2n + m,) multipliers of the same; at the optimum each times its distance is 0.
        sum_price: multiplier of the sum.
    """

    x: Array
    distances: Array
    prices: Array
    sum_price: float

    def moved(self, step: "_Iterate", primal: float, dual: float) -> "_Iterate":
        """The iterate after a primal and a dual share of a step."""
        return _Iterate(
            self.x + primal * step.x,
            self.distances + primal * step.distances,
            self.prices + dual * step.prices,
            self.sum_price + dual * step.sum_price,
        )


def solve(program: Program, *, tolerance: float = STOP, start: Array | None = None) -> Solution:
    """Find the mixture of least objective, and the proof of it.

    Args:
        program: convex, with limits that some mixture meets.
        tolerance: gap to stop at, nats per token.
        start: (M,) a mixture near the answer, if one is known.

    Returns:
        The best mixture met. Whether it is good enough is for its gap to say, not for the solver.

    Raises:
        Refused: if a loss is not finite where the search starts.
    """
    inside = _interior(program, start)
    box = Box(program, inside)
    values = box.at(box.start)
    if not (np.isfinite(values.value) and np.isfinite(values.slope).all() and np.isfinite(values.excess).all()):
        raise Refused("the law predicts a loss that is not finite inside the limits; refit it, or narrow the limits")
    if len(box.free) == 0:
        return _solution(box, _first(box, values), values, 0)
    iterate = _first(box, values)
    best = _solution(box, iterate, values, 0)
    for iteration in range(1, ITERATIONS + 1):
        try:
            iterate, values = _advance(box, iterate, values)
        except (LinAlgError, FloatingPointError):
            break
        if iteration < LONG and iterate.distances @ iterate.prices > 1e3 * tolerance:
            continue
        found = _solution(box, iterate, values, iteration)
        if found.gap <= tolerance and found.outside == 0:
            return found  # proved by its own tangents, as anybody can check from the mixture alone
        best = _better(found, best)
    return _better(_solution(box, iterate, values, iteration), best)


def _better(found: Solution, best: Solution) -> Solution:
    """The better of two mixtures with the better of their bounds, which hold for every mixture."""
    mixture = found if (found.outside, found.value) < (best.outside, best.value) else best
    bound = found if found.lower_bound > best.lower_bound else best
    return replace(mixture, lower_bound=bound.lower_bound, multipliers=bound.multipliers)


def _interior(program: Program, start: Array | None) -> Array:
    floor, cap = program.limits.floor, program.limits.cap
    room = cap - floor
    share = (1.0 - floor.sum()) / max(room.sum(), 1e-300)
    middle: Array = floor + room * min(max(share, 0.0), 1.0)
    if start is None:
        return middle
    mixed: Array = 0.9 * np.clip(start, floor, cap) + 0.1 * middle
    return mixed


def _first(box: Box, values: Values) -> _Iterate:
    """Distances as they are, prices all alike: a tenth of the spread of the slope, the scale of the answer's prices."""
    size = 0.1 * (1.0 if box.program.lifts else max(float(np.ptp(values.slope)), 1e-9))
    slack = np.maximum(-values.excess, 0.1 * np.maximum(1.0, np.abs(values.excess)))
    prices = np.full(2 * len(box.start) + len(slack), size)
    lifted = np.flatnonzero(box.lifted)
    prices[2 * len(box.start) + lifted] = 1.0 / max(len(lifted), 1)
    return _Iterate(box.start, box.distances(box.start, slack), prices, 0.0)


@np.errstate(over="raise", invalid="raise", divide="raise", under="ignore")
def _advance(box: Box, at: _Iterate, values: Values) -> tuple[_Iterate, Values]:
    """One predictor-corrector step: how far a plain Newton step gets decides how much the next one is centred.

    Raises:
        FloatingPointError: if the iterates run away, which they do for losses of e^40 nats alone.
    """
    slope = values.slope + at.prices[2 * len(at.x) :] @ values.jacobian + at.sum_price * box.ones
    direction = _directions(box, at, values, slope)
    mean = float(at.distances @ at.prices) / len(at.prices)
    plain = direction(0.0, np.zeros(len(at.prices)))
    after = at.moved(plain, _reach(at.distances, plain.distances), _reach(at.prices, plain.prices))
    left = float(after.distances @ after.prices) / len(at.prices)
    centred = mean * min(max((left / mean) ** 3, 1e-4), 0.9)
    target = max(centred, BALANCE * _off(at, slope) / len(at.prices))
    step = direction(target, plain.distances * plain.prices)
    fall = -_rise(box, at, values, step, target, 0.0)
    if fall <= 0:
        step = direction(target, np.zeros(len(at.prices)))
        fall = -_rise(box, at, values, step, target, 0.0)
    return _settle(box, at, step, target, max(OVERSHOOT * fall, NEGLIGIBLE))


def _off(at: _Iterate, slope: Array) -> float:
    """What the slope of the Lagrangian, 0 at the optimum, is worth in nats: slopes of domains at a bound count little.

    Centring never falls far below it, or a steep exponential would meet the boundary long before its optimum.
    """
    count = len(at.x)
    left = slope - at.prices[:count] + at.prices[count : 2 * count]
    return float(np.abs(left) @ np.minimum(at.distances[:count], at.distances[count : 2 * count]))


def _directions(box: Box, at: _Iterate, values: Values, slope: Array) -> Callable[[float, Array], _Iterate]:
    """Factorise the Newton system at an iterate; the function returned steps towards distances x prices = target."""
    count = len(at.x)
    root, diagonal = box.curvature(at.x, at.prices[2 * count :])
    stiffness = at.prices / at.distances
    solve_for = factorise(
        root,
        diagonal + stiffness[:count] + stiffness[count : 2 * count],
        values.jacobian,
        1.0 / stiffness[2 * count :],
        box.ones,
    )
    lacking = float(box.total - box.ones @ at.x)

    def direction(target: float, correction: Array) -> _Iterate:
        pull = (target - correction) / at.distances
        softened = -values.excess - (target - correction[2 * count :]) / at.prices[2 * count :]
        x, prices, sum_price = solve_for(pull[:count] - pull[count : 2 * count] - slope, softened, lacking)
        slack = -values.excess - at.distances[2 * count :] - values.jacobian @ x
        distances = np.concatenate([x, -x, slack])
        held = (pull - at.prices - stiffness * distances)[: 2 * count]
        return _Iterate(x, distances, np.concatenate([held, prices]), sum_price)

    return direction


def _reach(distances: Array, step: Array) -> float:
    """The share of a step that keeps everything positive."""
    fastest = float((-step / distances).max())
    return 1.0 if fastest <= TO_THE_BOUNDARY else TO_THE_BOUNDARY / fastest


def _settle(box: Box, at: _Iterate, step: _Iterate, target: float, most: float) -> tuple[_Iterate, Values]:
    """Take as much of the step as keeps losses finite, and ends where the Lagrangian rises by no more than `most`."""
    primal, dual = _reach(at.distances, step.distances), _reach(at.prices, step.prices)
    for _ in range(HALVINGS):
        after = at.moved(step, primal, dual)
        x = np.clip(after.x, box.floor, box.cap)
        after = replace(after, x=x, distances=box.distances(x, after.distances[2 * len(x) :]))
        found = box.at(x)
        finite = np.isfinite(found.value) and np.isfinite(found.excess).all()
        if finite and _rise(box, at, found, step, target, primal) <= most:
            break
        primal *= 0.5
    return after, found


def _rise(box: Box, at: _Iterate, values: Values, step: _Iterate, target: float, primal: float) -> float:
    """Derivative along a step, after a share of it, of the Lagrangian with barriers: convex, and falling at the start.

    Its multipliers are those the step ends with, so at a share of 0 it is minus a squared length of the step. A loss
    that bends sharply near a bound can make a whole Newton step run past its least point, and then back, for ever.
    """
    count = len(at.x)
    after, end = at.moved(step, primal, 0.0), at.prices[2 * count :] + step.prices[2 * count :]
    slope = values.slope + end @ values.jacobian + (at.sum_price + step.sum_price) * box.ones
    pull = target / np.maximum(after.distances, 1e-18)
    pull[2 * count :] -= end
    return float(slope @ step.x - pull @ step.distances)


def _solution(box: Box, iterate: _Iterate, values: Values, iterations: int) -> Solution:
    program = box.program
    proportions, multipliers = box.mixture(iterate.x), box.multipliers(iterate.prices[2 * len(box.floor) :])
    bound = lower_bound(program, proportions, multipliers, values.point)
    violation = program.violation(proportions, values.point)
    return Solution(proportions, values.value, bound, multipliers, violation, iterations)
