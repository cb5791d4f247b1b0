"""The exponential mixing law with size and token terms that depend on the mixture."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.mixture import Array
from mixlaw.surfaces.additive import best_without_mixture
from mixlaw.surfaces.chinchilla import Chinchilla
from mixlaw.surfaces.parametric import ParametricSurface, Places, centred
from mixlaw.surfaces.surface_law import SurfaceLaw
from mixlaw.surfaces.terms import Falling, SumOfTerms

SLOPES, HEIGHT_SLOPES = 3.0, 0.3
"""Prior spread of t about its mean, and of a and b about theirs: training on one domain alone makes the size term or
the token term larger or smaller by a factor of e^0.3 or so. Left free, these won in the runs they were fitted to and
were off by 0.7 nats on a mixture far from them."""

FIRST_SHARES = (0.9, 0.6)
"""Starts: the share of the irreducible loss that the mixture does not move."""


@dataclass(frozen=True)
class ExponentialSurface(ParametricSurface):
    """L = c + exp(t . r) + exp(a . r) N^-alpha + exp(b . r) D^-beta for each target.

    The mixing law of Ye et al. (2024, 2403.16952) with terms of size and tokens whose heights are exponential in the
    mixture too; a sum of exponentials at every scale, so convex. a and b are shrunk to heights that all mixtures share.

    theta: c, t (M), a (M), log alpha, b (M), log beta.
    """

    scale: ClassVar[str] = "exponential"

    @classmethod
    def curve(cls, places: Places) -> SumOfTerms:
        """c and the three exponentials."""
        mixed, by_size, by_tokens = _columns(places.proportions.shape[1])
        return SumOfTerms(
            (
                Falling(mixed, places.proportions, None),
                Falling(by_size, places.proportions, places.log_params),
                Falling(by_tokens, places.proportions, places.log_tokens),
            )
        )

    @classmethod
    def prior(cls, domains: int) -> tuple[Array, Array, Array, Array]:
        """Slopes about their means, exponents as published; c at least 0."""
        plain, centre, lower, upper = Chinchilla.prior(domains)
        mixed, by_size, by_tokens = _columns(domains)
        precision = np.zeros((by_tokens.stop, by_tokens.stop))
        precision[mixed, mixed] = centred(domains, SLOPES)
        centres, lowers, uppers = [0.0] * (1 + domains), [0.0, *[-40.0] * domains], [np.inf, *[40.0] * domains]
        for columns, height in ((by_size, 1), (by_tokens, 3)):
            own = precision[columns, columns]
            own[:domains, :domains] = centred(domains, HEIGHT_SLOPES) + plain[height, height] / domains**2
            own[domains, domains] = plain[height + 1, height + 1]
            centres += [*np.zeros(domains), centre[height + 1]]
            lowers += [*np.full(domains, lower[height]), lower[height + 1]]
            uppers += [*np.full(domains, upper[height]), upper[height + 1]]
        return precision, np.array(centres), np.array(lowers), np.array(uppers)

    @classmethod
    def starts(cls, places: Places, losses: Array) -> Array:
        """The law without mixtures, with part of its E in the mixture's exponential."""
        domains = places.proportions.shape[1]
        irreducible, log_a, log_alpha, log_b, log_beta = best_without_mixture(places, losses)
        falls = [*np.full(domains, log_a), log_alpha, *np.full(domains, log_b), log_beta]
        found = []
        for share in FIRST_SHARES:
            mixed = np.log(max((1 - share) * irreducible, 1e-2))
            found.append([share * irreducible, *np.full(domains, mixed), *falls])
        return np.array(found)

    def law_at(self, log_params: float, log_tokens: float) -> SurfaceLaw:
        """A sum of three exponentials; on the simplex a factor is the same as a constant added to every slope."""
        mixed, by_size, by_tokens = (self.theta[:, columns] for columns in _columns(len(self.domains)))
        slopes = [mixed]
        for term, log_x in ((by_size, log_params), (by_tokens, log_tokens)):
            slopes.append(term[:, :-1] - np.exp(term[:, -1:]) * log_x)
        return SurfaceLaw.of(self.domains, self.targets, self.theta[:, 0], exponentials=np.stack(slopes, axis=1))

    def law_columns(self) -> list[int]:
        """All but the exponents of N and D."""
        _, by_size, by_tokens = _columns(len(self.domains))
        return [*range(by_size.stop - 1), *range(by_tokens.start, by_tokens.stop - 1)]


def _columns(domains: int) -> tuple[slice, slice, slice]:
    """Where theta holds t, a with log alpha, and b with log beta."""
    first, second = 1 + domains, 2 + 2 * domains
    return slice(1, first), slice(first, second), slice(second, 3 + 3 * domains)
