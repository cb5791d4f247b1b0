"""Loss as a mixture term plus a size term plus a token term: Shukor et al.'s additive law."""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from scipy.optimize import nnls

from mixlaw.mixture import Array
from mixlaw.surfaces.chinchilla import Chinchilla, falling, power_starts
from mixlaw.surfaces.parametric import ParametricSurface, Places, centred
from mixlaw.surfaces.surface_law import SurfaceLaw
from mixlaw.surfaces.terms import SMALLEST_PROPORTION, Falling, Reciprocal, SumOfTerms

FIRST_EXPONENTS, FIRST_SHARES = (0.25, 0.7), (0.9, 0.5)
"""Starts: the exponent of every domain, and the share of the irreducible loss that no mixture removes."""

HEIGHTS, EXPONENT = 2.0, (0.4, 1.0)
"""Priors of the mixture term: spread of log C about its mean; median of g and spread of its logarithm."""


@dataclass(frozen=True)
class Additive(ParametricSurface):
    """L = E + 1 / sum_j C_j (r_j + eps)^g_j + A / N^alpha + B / D^beta (Shukor et al. 2025, 2507.09404, additive law).

    The best mixture is the same at every scale. g is held in (0, 1], where the mixture term is convex.

    theta: E, log A, log alpha, log B, log beta, log C_1 ... log C_M, log g_1 ... log g_M.
    """

    scale: ClassVar[str] = "additive"

    @classmethod
    def curve(cls, places: Places) -> SumOfTerms:
        """E, the two falling terms, the mixture term."""
        ones = np.ones((len(places.proportions), 1))
        return SumOfTerms(
            (
                Falling(slice(1, 3), ones, places.log_params),
                Falling(slice(3, 5), ones, places.log_tokens),
                Reciprocal.of(slice(5, 5 + 2 * places.proportions.shape[1]), places.proportions),
            )
        )

    @classmethod
    def prior(cls, domains: int) -> tuple[Array, Array, Array, Array]:
        """As for the terms without the mixture; heights near their mean, exponents near a published one."""
        precision = np.zeros((5 + 2 * domains, 5 + 2 * domains))
        first, centre, lower, upper = Chinchilla.prior(domains)
        precision[:5, :5] = first
        precision[5 : 5 + domains, 5 : 5 + domains] = centred(domains, HEIGHTS)
        precision[5 + domains :, 5 + domains :] = np.eye(domains) / EXPONENT[1] ** 2
        return (
            precision,
            np.concatenate([centre, np.zeros(domains), np.full(domains, np.log(EXPONENT[0]))]),
            np.concatenate([lower, np.full(domains, -20.0), np.full(domains, -4.0)]),
            np.concatenate([upper, np.full(domains, 20.0), np.zeros(domains)]),
        )

    @classmethod
    def starts(cls, places: Places, losses: Array) -> Array:
        """From the law without mixtures: part of its E, and of what each run is off it, becomes the mixture term."""
        base = best_without_mixture(places, losses)
        left = losses - falling(base[1], base[2], places.log_params) - falling(base[3], base[4], places.log_tokens)
        domains = places.proportions.shape[1]
        found = []
        for exponent, share in product(FIRST_EXPONENTS, FIRST_SHARES):
            irreducible = share * min(float(base[0]), float(left.min()))
            reducible = np.maximum(left - irreducible, 1e-2)
            heights = _reciprocal_heights(places.proportions, reducible, exponent)
            found.append([irreducible, *base[1:], *np.log(heights), *np.full(domains, np.log(exponent))])
        return np.array(found)

    def law_at(self, log_params: float, log_tokens: float) -> SurfaceLaw:
        """The mixture term, with what size and tokens leave added to the irreducible loss."""
        columns = self.theta.T
        constant = (
            columns[0] + falling(columns[1], columns[2], log_params) + falling(columns[3], columns[4], log_tokens)
        )
        domains = len(self.domains)
        heights, exponents = self.theta[:, 5 : 5 + domains], np.exp(self.theta[:, 5 + domains :])
        return SurfaceLaw.of(self.domains, self.targets, constant, reciprocal=(heights, exponents))

    def law_columns(self) -> list[int]:
        """The constant, log C, log g."""
        return [0, *range(5, 5 + 2 * len(self.domains))]


def best_without_mixture(places: Places, losses: Array) -> Array:
    """The start (5,) of the law without mixtures that leaves the smallest squares."""
    starts = power_starts(places.log_params, places.log_tokens, losses)
    by_size = np.exp(starts[:, 1:2] - np.exp(starts[:, 2:3]) * places.log_params)
    by_tokens = np.exp(starts[:, 3:4] - np.exp(starts[:, 4:5]) * places.log_tokens)
    squares = ((losses - starts[:, :1] - by_size - by_tokens) ** 2).sum(axis=1)
    best: Array = starts[np.argmin(squares)]
    return best


def _reciprocal_heights(proportions: Array, reducible: Array, exponent: float) -> Array:
    """(M,) C of least relative error in 1 / sum_j C_j r_j^g; at least 2% of the largest, so that no start is at 0."""
    powers = (proportions + SMALLEST_PROPORTION) ** exponent
    heights = nnls(powers * reducible[:, None], np.ones_like(reducible))[0]
    floored: Array = np.maximum(heights, 0.02 * heights.max())
    return floored
