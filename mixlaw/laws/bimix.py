"""The power law of each domain's own proportion, after BiMix (Ge et al. 2024, arXiv 2405.14908), for comparison."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import Prior, most_probable
from mixlaw.laws.levenberg import Curve, Mask
from mixlaw.laws.measured import distinct_runs
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3

OFFSET = 1e-4
"""Proportion that stands for none: the law itself is infinite there."""

HUBER = 7.0
"""As for the exponential law."""

FACTOR_SPREAD = 2.0
"""Standard deviation of log F_j about the logarithm of an equal share of the mean loss."""

EXPONENT, EXPONENT_SPREAD = 0.05, 1.5
"""Exponents are exp(N(log 0.05, 1.5)): losses move by a few percent when a proportion is halved."""

START_EXPONENTS = (0.01, 0.1, 0.4)
"""Exponents from which the fits start."""

SMALLEST, LARGEST = 1e-4, 3.0
"""Bounds of the exponents; at the lower one a domain only adds a constant."""


@dataclass(frozen=True)
class BiMix(MixingLaw):
    """loss(r) = sum_j F_j (r_j + eps)^(-a_j), with F_j > 0 and a_j > 0.

    BiMix is L_i = A_i r_i^(-a_i) (B_i / D^b_i + C_i) for the loss on domain i itself: at one scale F_i r_i^(-a_i). The
    sum over domains extends it to targets that are not a domain (as Olmix does, 2602.12237). It knows no irreducible
    loss, so a constant added to the losses changes its shape. Convex.

    Attributes:
        log_factors: (V, M) log F.
        exponents: (V, M) a.
        offset: eps, the proportion that stands for none.
    """

    log_factors: Array
    exponents: Array
    offset: float

    kind: ClassVar[str] = "bimix"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        count = len(domains)
        share = np.log(np.nanmean(runs.losses, axis=0) / count)
        centre = np.repeat(np.column_stack([share, np.full(len(share), np.log(EXPONENT))]), count, axis=1)
        starts = np.repeat(centre[None], len(START_EXPONENTS), axis=0)
        starts[:, :, count:] = np.log(START_EXPONENTS)[:, None, None]
        spreads = np.repeat([FACTOR_SPREAD, EXPONENT_SPREAD], count)
        bounds = np.repeat([[-40.0, np.log(SMALLEST)], [20.0, np.log(LARGEST)]], count, axis=1)
        none = np.zeros((len(share), 0))
        prior = Prior(
            precision=np.repeat(np.diag(1 / spreads**2)[None], len(share), axis=0),
            centre=centre,
            lower=np.repeat(bounds[:1], len(share), axis=0),
            upper=np.repeat(bounds[1:], len(share), axis=0),
            anchors=none,
            anchor_spread=none,
        )
        curve = PowerCurve(np.log(runs.proportions + OFFSET))
        found = most_probable(curve, starts, runs.losses, prior, HUBER)
        law = cls(domains, targets, found.theta[:, :count], np.exp(found.theta[:, count:]), OFFSET)
        return found.fit(law, runs)

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        losses: Array = self._terms(proportions).sum(axis=2)
        return losses

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): -a_j F_j (r_j + eps)^(-a_j - 1)."""
        slope: Array = -self.exponents * self._terms(proportions[None])[0] / (proportions + self.offset)
        return slope

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian: diag(a_j (a_j + 1) F_j (r_j + eps)^(-a_j - 2))."""
        bends = self.exponents * (self.exponents + 1) * self._terms(proportions[None])[0]
        return Curvature(np.zeros((0, len(self.domains))), weights @ bends / (proportions + self.offset) ** 2)

    def _terms(self, proportions: Array) -> Array:
        """(n, V, M)."""
        logs = np.log(proportions + self.offset)
        terms: Array = np.exp(self.log_factors - self.exponents * logs[:, None, :])
        return terms

    @property
    def convex(self) -> Mask:
        """Always."""
        return np.ones(len(self.targets), dtype=bool)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in (log F, log a): shape (V, n, 2 M)."""
        theta = np.column_stack([self.log_factors, np.log(self.exponents)])
        return PowerCurve(np.log(proportions + self.offset)).slopes(theta)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """2 M: F and a."""
        return 2 * domain_count


@dataclass(frozen=True)
class PowerCurve(Curve):
    """sum_j exp(l_j - exp(alpha_j) log(r_j + eps)), theta = (l, alpha), over rows of logarithms (n, M)."""

    logs: Array

    def _terms(self, theta: Array) -> tuple[Array, Array]:
        """Terms and the derivative of their logarithms in alpha, both (B, n, M)."""
        levels, rates = np.split(theta, 2, axis=1)
        powers = -np.exp(rates)[:, None, :] * self.logs
        return np.exp(levels[:, None, :] + powers), powers

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        values: Array = self._terms(theta)[0].sum(axis=2)
        return values

    def slopes(self, theta: Array) -> Array:
        """(B, n, 2 M)."""
        terms, powers = self._terms(theta)
        return np.concatenate([terms, terms * powers], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, 2 M, 2 M): each domain has a block of its own."""
        terms, powers = self._terms(theta)
        pulled = pull[:, :, None] * terms
        level, rate = np.arange(self.logs.shape[1]), np.arange(self.logs.shape[1], theta.shape[1])
        bend = np.zeros((len(theta), theta.shape[1], theta.shape[1]))
        bend[:, level, level] = pulled.sum(axis=1)
        bend[:, level, rate] = bend[:, rate, level] = (pulled * powers).sum(axis=1)
        bend[:, rate, rate] = (pulled * powers * (powers + 1)).sum(axis=1)
        return bend
