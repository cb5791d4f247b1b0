"""A program as the interior point sees it: free variables in a box, one sum, and inequalities."""

from dataclasses import dataclass

import numpy as np

from mixlaw.mixture import Array
from mixlaw.optimize.certificate import Multipliers, lower_bound
from mixlaw.optimize.program import Point, Program


@dataclass(frozen=True)
class Values:
    """A boxed program at one point.

    Attributes:
        slope: (n,) of the objective.
        excess: (m,) of ceilings and rows over their bounds.
        jacobian: (m, n) slopes of the excess.
        value: the program's own objective, which the level is no part of.
        point: what the program itself is there.
    """

    slope: Array
    excess: Array
    jacobian: Array
    value: float
    point: Point


class Box:
    """A program in its free domains alone, with the level of lifted ceilings as one more variable in a box.

    The box of the level never binds: its floor is below a certified bound, its cap above the objective at the start.
    """

    def __init__(self, program: Program, start: Array) -> None:
        limits = program.limits
        self.program = program
        self.free = np.flatnonzero(limits.cap - limits.floor > 1e-15)
        self.fixed = np.where(limits.cap - limits.floor > 1e-15, 0.0, limits.floor)
        self.lifted = program.ceilings.lifted.astype(float)
        self.scale = np.abs(limits.rows).max(axis=1, initial=0.0) + (limits.rows == 0).all(axis=1)
        self.rows = limits.rows[:, self.free] / self.scale[:, None]
        self.bounds = (limits.bounds - limits.rows @ self.fixed) / self.scale
        self.ones = np.ones(len(self.free))
        self.total = 1.0 - self.fixed.sum()
        self.floor, self.cap = limits.floor[self.free], limits.cap[self.free]
        self.start = start[self.free]
        if program.lifts:
            self._lift(start)

    def _lift(self, start: Array) -> None:
        excess = self.program.at(start).excess[self.program.ceilings.lifted]
        least = lower_bound(self.program, start, Multipliers(self.lifted, np.zeros(len(self.scale))))
        least -= self.program.at(start).smooth
        top = float(excess.max())
        room = max(1.0, top - least)
        self.floor = np.append(self.floor, least - room)
        self.cap = np.append(self.cap, top + room)
        self.start = np.append(self.start, top + 0.1 * room)
        self.rows = np.column_stack([self.rows, np.zeros(len(self.rows))])
        self.ones = np.append(self.ones, 0.0)

    def mixture(self, x: Array) -> Array:
        """The mixture (M,) of a point (n,)."""
        proportions = self.fixed.copy()
        proportions[self.free] = x[: len(self.free)]
        return proportions

    @np.errstate(over="ignore", invalid="ignore")
    def at(self, x: Array) -> Values:
        """Evaluate at a point (n,); losses that overflow are infinite, for the caller to see."""
        point = self.program.at(self.mixture(x))
        slope, jacobian, excess = point.slope[self.free], point.excess_slope[:, self.free], point.excess
        value = point.smooth
        if self.program.lifts:
            slope = np.append(slope, 1.0)
            jacobian = np.column_stack([jacobian, -self.lifted])
            value += float(excess[self.program.ceilings.lifted].max())
            excess = excess - self.lifted * x[-1]
        return Values(
            slope,
            np.concatenate([excess, self.rows @ x - self.bounds]),
            np.vstack([jacobian, self.rows]),
            value,
            point,
        )

    def distances(self, x: Array, slack: Array) -> Array:
        """(2n + m,) from floors and caps, and slacks; kept off 0, where rounding would put them."""
        distances: Array = np.maximum(np.concatenate([x - self.floor, self.cap - x, slack]), 1e-18)
        return distances

    def curvature(self, x: Array, price: Array) -> tuple[Array, Array]:
        """Hessian of the Lagrangian at a point, as root (k, n) and diagonal (n,)."""
        found = self.program.curvature(self.mixture(x), price[: len(self.lifted)])
        root, diagonal = found.root[:, self.free], found.diagonal[self.free]
        if self.program.lifts:
            return np.column_stack([root, np.zeros(len(root))]), np.append(diagonal, 0.0)
        return root, diagonal

    def multipliers(self, prices: Array) -> Multipliers:
        """Split the prices of ceilings and rows, and undo the scaling of rows."""
        count = len(self.lifted)
        return Multipliers(prices[:count], prices[count:] / self.scale)
