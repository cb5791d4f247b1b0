"""Loss in which size and token terms depend on the mixture: Shukor et al.'s joint law."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.mixture import Array
from mixlaw.surfaces.additive import Additive
from mixlaw.surfaces.parametric import ParametricSurface, Places, centred
from mixlaw.surfaces.surface_law import SurfaceLaw
from mixlaw.surfaces.terms import LinearPower, Reciprocal, SumOfTerms

BASES, POWER = 1.0, 1.0
"""Priors: spread of log C^A and log C^B about their means, and of the powers about 1 or -1, whichever start won."""


@dataclass(frozen=True)
class Joint(ParametricSurface):
    """L = E + 1 / sum_j C_j (r_j + eps)^g_j + A(r) / N^alpha + B(r) / D^beta for each target.

    A(r) = (sum_j CA_j (r_j + eps))^gA and B(r) alike (Shukor et al. 2025, 2507.09404, joint law), so the best mixture
    moves with scale. Not convex where gA or gB lies in (0, 1).

    theta: E, log C (M), log g (M), then log CA (M), gA, log alpha, then log CB (M), gB, log beta.
    """

    scale: ClassVar[str] = "joint"

    @classmethod
    def curve(cls, places: Places) -> SumOfTerms:
        """E, the mixture term, the two falling terms."""
        mixed, by_size, by_tokens = _columns(places.proportions.shape[1])
        return SumOfTerms(
            (
                Reciprocal.of(mixed, places.proportions),
                LinearPower.of(by_size, places.proportions, places.log_params),
                LinearPower.of(by_tokens, places.proportions, places.log_tokens),
            )
        )

    @classmethod
    def prior(cls, domains: int) -> tuple[Array, Array, Array, Array]:
        """The additive law's, and heights that depend on the mixture as little as the runs allow."""
        precision, centre, lower, upper = Additive.prior(domains)
        mixed, by_size, by_tokens = _columns(domains)
        joint = np.zeros((by_tokens.stop, by_tokens.stop))
        joint[mixed, mixed] = precision[5:, 5:]
        centres, lowers, uppers = ([array[0], *array[5:]] for array in (centre, lower, upper))
        for columns, height, exponent in ((by_size, 1, 2), (by_tokens, 3, 4)):
            joint[columns, columns][:domains, :domains] = (
                centred(domains, BASES) + precision[height, height] / domains**2
            )
            joint[columns, columns][domains, domains] = POWER**-2
            joint[columns, columns][domains + 1, domains + 1] = precision[exponent, exponent]
            centres += [*np.zeros(domains), 1.0, centre[exponent]]
            lowers += [*np.full(domains, -20.0), -5.0, lower[exponent]]
            uppers += [*np.full(domains, 20.0), 5.0, upper[exponent]]
        return joint, np.array(centres), np.array(lowers), np.array(uppers)

    @classmethod
    def starts(cls, places: Places, losses: Array) -> Array:
        """Two of the additive law's starts, with heights that do not depend on the mixture yet, and power 1 or -1."""
        domains = places.proportions.shape[1]
        found = []
        for start in Additive.starts(places, losses)[::2]:
            for power in (1.0, -1.0):
                by_size = [*np.full(domains, start[1] / power), power, start[2]]
                by_tokens = [*np.full(domains, start[3] / power), power, start[4]]
                found.append([start[0], *start[5:], *by_size, *by_tokens])
        return np.array(found)

    def law_at(self, log_params: float, log_tokens: float) -> SurfaceLaw:
        """The mixture term and two powers of linear functions, scaled by what N and D make of them."""
        mixed, by_size, by_tokens = _columns(len(self.domains))
        heights, logs = np.split(self.theta[:, mixed], 2, axis=1)
        terms = [(self.theta[:, by_size], log_params), (self.theta[:, by_tokens], log_tokens)]
        return SurfaceLaw.of(
            self.domains,
            self.targets,
            self.theta[:, 0],
            reciprocal=(heights, np.exp(logs)),
            powers=(
                np.stack([term[:, :-2] for term, _ in terms], axis=1),
                np.stack([term[:, -2] for term, _ in terms], axis=1),
                np.stack([np.exp(-np.exp(term[:, -1]) * log_x) for term, log_x in terms], axis=1),
            ),
        )

    def law_columns(self) -> list[int]:
        """All but the exponents of N and D."""
        _, by_size, by_tokens = _columns(len(self.domains))
        return [*range(by_size.stop - 1), *range(by_tokens.start, by_tokens.stop - 1)]


def _columns(domains: int) -> tuple[slice, slice, slice]:
    """Where theta holds the mixture term, the size term and the token term."""
    first, second = 1 + 2 * domains, 3 + 3 * domains
    return slice(1, first), slice(first, second), slice(second, 5 + 4 * domains)
