"""Loss of size and tokens without the mixture: Hoffmann et al.'s law."""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from scipy.optimize import nnls

from mixlaw.laws.levenberg import Problem, minimise
from mixlaw.mixture import Array
from mixlaw.surfaces.parametric import ParametricSurface, Places
from mixlaw.surfaces.shared_curve import SIZE_EXPONENT, TOKEN_EXPONENT
from mixlaw.surfaces.surface_law import SurfaceLaw
from mixlaw.surfaces.terms import Falling, LogOf, SumOfTerms

HUBER = 1e-3
"""Log residual beyond which the published objective grows linearly."""

EXPONENTS = (0.1, 0.2, 0.35, 0.6, 1.0)
"""Exponents from which a fit starts; given a pair of them the three heights follow from non-negative least squares."""

NARROWING = (1.0, 0.1, 0.03, 0.01, 0.003)
"""Wider Huber deltas that are solved first: each hands its minimum to the next, the last to the one asked for."""

HEIGHT = 5.0
"""Prior standard deviation of the logarithm of a height at the middle of the runs: any height, but not any power of
ten where the runs have one size and say nothing of it."""


@dataclass(frozen=True)
class Chinchilla(ParametricSurface):
    """L = E + A / N^alpha + B / D^beta for each target, whatever the mixture (Hoffmann et al. 2022, 2203.15556).

    The simplest surface, to measure the others by: what it leaves unexplained is the mixture's part.

    theta: E, log A, log alpha, log B, log beta, with A and B at `unit`.
    """

    scale: ClassVar[str] = "chinchilla"

    @classmethod
    def curve(cls, places: Places) -> SumOfTerms:
        """E and the two falling terms."""
        return _curve(places.log_params, places.log_tokens)

    @classmethod
    def prior(cls, domains: int) -> tuple[Array, Array, Array, Array]:
        """Exponents as published laws have them; E at least 0."""
        deviations = np.array([HEIGHT, SIZE_EXPONENT[1], HEIGHT, TOKEN_EXPONENT[1]])
        precision = np.diag([0.0, *deviations**-2])
        centre = np.array([0.0, 0.0, np.log(SIZE_EXPONENT[0]), 0.0, np.log(TOKEN_EXPONENT[0])])
        return precision, centre, np.array([0.0, -20.0, -5.0, -20.0, -5.0]), np.array([np.inf, 20.0, 2.0, 20.0, 2.0])

    @classmethod
    def starts(cls, places: Places, losses: Array) -> Array:
        """The best heights for each pair of exponents."""
        return power_starts(places.log_params, places.log_tokens, losses)

    def law_at(self, log_params: float, log_tokens: float) -> SurfaceLaw:
        """A constant: the mixture changes nothing."""
        irreducible, *rest = self.theta.T
        constant = irreducible + falling(rest[0], rest[1], log_params) + falling(rest[2], rest[3], log_tokens)
        return SurfaceLaw.of(self.domains, self.targets, constant)

    def law_columns(self) -> list[int]:
        """The constant."""
        return [0]


@dataclass(frozen=True)
class PublishedFit:
    """L = E + A / N^alpha + B / D^beta as published, and the objective reached.

    Attributes:
        irreducible: E, nats per token.
        size_height, size_exponent: A and alpha, for N in parameters.
        token_height, token_exponent: B and beta, for D in tokens.
        objective: sum of Huber's function (residual² / 2 within delta) of the log residuals.
    """

    irreducible: float
    size_height: float
    size_exponent: float
    token_height: float
    token_exponent: float
    objective: float

    def losses(self, params: Array, tokens: Array) -> Array:
        """(n,) losses at params and tokens (n,), nats per token."""
        by_size = self.size_height * params**-self.size_exponent
        by_tokens = self.token_height * tokens**-self.token_exponent
        losses: Array = self.irreducible + by_size + by_tokens
        return losses

    def best_params(self, flop: float) -> float:
        """Params of least loss for a training budget of flop = 6 N D: G (flop / 6)^(beta / (alpha + beta))."""
        alpha, beta = self.size_exponent, self.token_exponent
        ratio = alpha * self.size_height / (beta * self.token_height)
        return float(ratio ** (1 / (alpha + beta)) * (flop / 6) ** (beta / (alpha + beta)))


def fit_published(params: Array, tokens: Array, losses: Array, huber: float = HUBER) -> PublishedFit:
    """Minimise the published objective: the summed Huber function of log residuals.

    Summed, not averaged: with a delta of 1e-3 an averaged objective is so small that a solver's default tolerance ends
    the search early (Besiroglu et al. 2024, 2404.10102, on Hoffmann et al.'s own fit). Every start is followed through
    narrowing deltas with exact second derivatives until no step is left.

    Args:
        params, tokens, losses: (n,) each.
        huber: delta of the log residuals.
    """
    unit = np.exp([np.log(params).mean(), np.log(tokens).mean()])
    log_params, log_tokens = np.log(params / unit[0]), np.log(tokens / unit[1])
    curve = LogOf(_curve(log_params, log_tokens))
    theta = power_starts(log_params, log_tokens, losses)
    count, size = theta.shape
    bounds = np.array([[1e-6, -40.0, -6.0, -40.0, -6.0], [losses.min(), 40.0, 3.0, 40.0, 3.0]])
    for delta in (*(width for width in NARROWING if width > huber), huber):
        problem = Problem(
            losses=np.tile(np.log(losses), (count, 1)),
            weights=np.ones((count, len(losses))),
            huber=np.full((count, len(losses)), delta),
            precision=np.zeros((count, size, size)),
            centre=np.zeros((count, size)),
            lower=np.tile(bounds[0], (count, 1)),
            upper=np.tile(bounds[1], (count, 1)),
        )
        found = minimise(curve, theta, problem)
        theta = found.theta
    best = int(np.argmin(found.objective))
    irreducible, log_a, log_alpha, log_b, log_beta = theta[best].tolist()
    alpha, beta = float(np.exp(log_alpha)), float(np.exp(log_beta))
    return PublishedFit(
        irreducible,
        float(np.exp(log_a) * unit[0] ** alpha),
        alpha,
        float(np.exp(log_b) * unit[1] ** beta),
        beta,
        float(found.objective[best] / 2),
    )


def power_starts(log_params: Array, log_tokens: Array, losses: Array) -> Array:
    """(S, 5) E, log A, log alpha, log B, log beta: for each pair of exponents the heights of least relative error."""
    starts = []
    for alpha, beta in product(EXPONENTS, EXPONENTS):
        features = np.column_stack([np.ones_like(losses), np.exp(-alpha * log_params), np.exp(-beta * log_tokens)])
        heights = np.maximum(nnls(features / losses[:, None], np.ones_like(losses))[0], 1e-3)
        starts.append([heights[0], np.log(heights[1]), np.log(alpha), np.log(heights[2]), np.log(beta)])
    return np.array(starts)


def falling(log_height: Array, log_exponent: Array, log_x: Array | float) -> Array:
    """exp(log_height - exp(log_exponent) log_x), for one scale and many targets or the other way round."""
    value: Array = np.exp(log_height - np.exp(log_exponent) * log_x)
    return value


def _curve(log_params: Array, log_tokens: Array) -> SumOfTerms:
    ones = np.ones((len(log_params), 1))
    return SumOfTerms((Falling(slice(1, 3), ones, log_params), Falling(slice(3, 5), ones, log_tokens)))
