"""Mixtures whose proportions halve from each domain's cap, as Data Mixing Laws samples them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixlaw.design.base import Design
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.mixture import Array


@dataclass(frozen=True)
class DoubleDiminishing(Design):
    """Proportions at a domain's cap, half of it, a quarter, ... and 0 (Ye et al. 2024, 2403.16952).

    Loss changes about as much from one doubling of a proportion to the next, so levels that halve spread the losses
    evenly. With grid g and cap m, every domain but the last takes a value among `g floor(m/g) / 2^s` that is at least
    g, or 0; the last takes what remains, if its own cap allows.

    Candidates that leave domains out outnumber the others, and the paper thins them at a rate it does not give; here
    each domain left out multiplies a candidate's chance by `keep_zero`.

    Args:
        grid: smallest positive proportion of every domain but the last; its inverse is a whole number.
        keep_zero: in (0, 1].
    """

    grid: float = 1 / 16
    keep_zero: float = 0.5

    attempts = 10_000

    def __post_init__(self) -> None:
        cells = round(1 / self.grid) if self.grid > 0 else 0
        if not cells or abs(cells * self.grid - 1) > 1e-9:
            raise Refused(f"the grid is {self.grid:g}; it must be 1 over a whole number, such as 0.0625")

    def levels(self, limits: Limits) -> list[Array]:
        """The values each domain but the last may take, largest first, 0 last; floors and caps are met.

        Raises:
            Refused: naming a domain that is left no value.
        """
        found = []
        for domain, floor, cap in list(zip(limits.domains, limits.floor, limits.cap, strict=True))[:-1]:
            top = int(np.floor(cap / self.grid + 1e-9))
            values = [self.grid * top / 2**halving for halving in range(top.bit_length())] + [0.0]
            kept = [value for value in values if value >= floor - 1e-12]
            if not kept:
                raise Refused(
                    f"'{domain}' lies between {floor:g} and {cap:g}, where proportions that halve in steps of "
                    f"{self.grid:g} have no value; use a finer grid or another design"
                )
            found.append(np.array(kept))
        return found

    def enumerate(self, limits: Limits) -> Iterator[Array]:
        """Every candidate once, each (M,): first those with most of the first domain."""
        yield from _completions(self.levels(limits), limits, ())

    def count(self, limits: Limits) -> int:
        """How many candidates there are, without listing them; rows of linear limits are not looked at."""
        return int(self._ways(limits, 1).item(0, -1))

    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """A candidate, drawn with probability in proportion to `keep_zero ** (domains left out)`.

        Raises:
            Refused: if no candidate, or hardly any, meets the limits.
        """
        ways = self._ways(limits, self.keep_zero)
        if not ways[0, -1] > 0:
            raise Refused(
                "no mixture whose proportions halve from the caps sums to 1 under these limits; "
                "use a finer grid or another design"
            )
        levels = self.levels(limits)
        for _ in range(self.attempts):
            proportions = self._draw(levels, ways, random)
            if limits.allows(proportions):
                return proportions
        raise Refused(
            f"none of {self.attempts} mixtures whose proportions halve from the caps meets the linear limits; "
            "use another design"
        )

    @property
    def _units(self) -> int:
        """Parts of 1 that every level is a whole number of."""
        cells = round(1 / self.grid)
        return cells << (cells.bit_length() - 1)

    def _ways(self, limits: Limits, keep_zero: float) -> "np.ndarray[tuple[int, int], np.dtype[Any]]":
        """(M, B + 1): the weighted number of ways in which domains j, j + 1, ... share b units exactly."""
        units = self._units
        exact = keep_zero == 1
        ways = np.zeros((len(limits.domains), units + 1), dtype=object if exact else float)
        remainder = np.arange(units + 1) / units
        allowed = (remainder >= limits.floor[-1] - 1e-12) & (remainder <= limits.cap[-1] + 1e-12)
        ways[-1] = allowed.astype(int)
        ways[-1, 0] *= keep_zero
        for place, values in reversed(list(enumerate(self.levels(limits)))):
            for taken in (round(value * units) for value in values):
                ways[place, taken:] += (1 if taken else keep_zero) * ways[place + 1, : units + 1 - taken]
        return ways

    def _draw(self, levels: list[Array], ways: Array, random: np.random.Generator) -> Array:
        units = left = self._units
        chosen = []
        for place, values in enumerate(levels):
            takes = np.round(values * units).astype(int)
            chances = np.array(
                [
                    (1 if take else self.keep_zero) * ways[place + 1, left - take] if take <= left else 0.0
                    for take in takes
                ]
            )
            take = int(random.choice(takes, p=chances / chances.sum()))
            chosen.append(take)
            left -= take
        return np.array([*chosen, left]) / units


def _completions(levels: list[Array], limits: Limits, chosen: tuple[float, ...]) -> Iterator[Array]:
    remainder = 1 - sum(chosen)
    if len(chosen) == len(levels):
        proportions = np.array([*chosen, remainder])
        if limits.allows(proportions):
            yield proportions
        return
    for value in levels[len(chosen)]:
        if value <= remainder + 1e-12:
            yield from _completions(levels, limits, (*chosen, float(value)))
