"""A sum of exponentials: the total over validation domains nobody has named (Ye et al. 2024, arXiv 2403.16952)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import Prior, most_probable
from mixlaw.laws.exponential import exponential_starts
from mixlaw.laws.levenberg import Curve, Mask
from mixlaw.laws.measured import Measured, distinct_runs
from mixlaw.laws.vertices import ranges, vertex_spread, worst
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3

HUBER = 7.0
"""As for the exponential law."""

VERTEX_SPREAD, VERTEX_FADING = 1.0, 1.5
"""As for the exponential law."""

SLOPE_SPREAD = 3.0
"""Standard deviation of a centred exponent within one term: it decides between sums that predict the same."""

WIDEST_GAP = 2.0
"""Bound of the smallest loss minus the irreducible loss, in ranges of the losses: below it terms only turn linear."""

SMALLEST, LARGEST = -40.0, 5.0
"""Bounds of an exponent, as the logarithm of a term alone at a vertex in ranges of the losses."""


@dataclass(frozen=True)
class SumOfExponentials(MixingLaw):
    """loss(r) = c + sum_k exp(u_k . r), k = 1..K: a weighted sum of K exponential laws, the weights absorbed by u.

    For a target that is itself a mean over domains of unknown shares: the paper's implicit aggregation, there a network
    of K exponential units trained by gradient descent, here fitted to convergence. Convex. With K = 1 it is M4. Terms
    can be exchanged, so only predictions have a meaning.

    Attributes:
        irreducible: (V,) c, nats per token.
        exponents: (V, K, M) u.
    """

    irreducible: Array
    exponents: Array

    kind: ClassVar[str] = "sum-of-exponentials"
    terms: ClassVar[int] = 3
    """K; more terms than this were not told apart by any table tried."""

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        count, top = len(domains), worst(runs.losses)
        curve = SumCurve(np.vstack([runs.proportions, np.eye(count)]), cls.terms)
        found = most_probable(
            curve, _starts(runs, cls.terms), runs.losses - top, _prior(count, runs.losses, cls.terms), HUBER
        )
        exponents = found.theta[:, 1:].reshape(len(targets), cls.terms, count)
        law = cls(domains, targets, found.theta[:, 0] + top, exponents)
        unidentified = ["irreducible loss not identified: the runs allow any value below the one given"]
        return found.fit(law, runs, [unidentified if open_ else [] for open_ in found.reaches_lower(0)])

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        terms = np.exp(np.einsum("nm,vkm->nvk", proportions, self.exponents))
        losses: Array = self.irreducible + terms.sum(axis=2)
        return losses

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): sum_k exp(u_k . r) u_k."""
        slope: Array = np.einsum("vk,vkm->vm", np.exp(self.exponents @ proportions), self.exponents)
        return slope

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian: sum_k exp(u_k . r) u_k u_k'."""
        root = np.sqrt(weights[:, None] * np.exp(self.exponents @ proportions))[:, :, None] * self.exponents
        return Curvature(root.reshape(-1, len(self.domains)), np.zeros(len(self.domains)))

    @property
    def convex(self) -> Mask:
        """Always."""
        return np.ones(len(self.targets), dtype=bool)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in (c, u_1, ..., u_K): shape (V, n, 1 + K M)."""
        theta = np.column_stack([self.irreducible, self.exponents.reshape(len(self.targets), -1)])
        return SumCurve(proportions, self.exponents.shape[1]).slopes(theta)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """1 + K M."""
        return 1 + cls.terms * domain_count


@dataclass(frozen=True)
class SumCurve(Curve):
    """c + sum_k exp(X u_k), theta = (c, u_1, ..., u_K), over rows X (n, M)."""

    rows: Array
    terms: int

    def _grown(self, theta: Array) -> Array:
        """(B, n, K)."""
        exponents = theta[:, 1:].reshape(len(theta), self.terms, -1)
        grown: Array = np.exp(np.matmul(self.rows, exponents.transpose(0, 2, 1)))
        return grown

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        values: Array = theta[:, :1] + self._grown(theta).sum(axis=2)
        return values

    def slopes(self, theta: Array) -> Array:
        """(B, n, 1 + K M)."""
        grown = self._grown(theta)
        by_term = (grown[:, :, :, None] * self.rows[:, None, :]).reshape(len(theta), len(self.rows), -1)
        return np.concatenate([np.ones((*by_term.shape[:2], 1)), by_term], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, 1 + K M, 1 + K M): a block per term."""
        pulled, count = pull[:, :, None] * self._grown(theta), self.rows.shape[1]
        bend = np.zeros((len(theta), theta.shape[1], theta.shape[1]))
        for term in range(self.terms):
            block = slice(1 + term * count, 1 + (term + 1) * count)
            weighted = self.rows * pulled[:, :, term, None]
            bend[:, block, block] = np.matmul(weighted.transpose(0, 2, 1), self.rows)
        return bend


def _starts(runs: Measured, terms: int) -> Array:
    """Starts (2 or 4, V, 1 + K M): the exponential law's, shared out over the terms in two ways.

    Equal terms would stay equal for ever, so each term leans on its own domains: those that matter most, in turn.
    """
    top = worst(runs.losses)
    starts = []
    for single in exponential_starts(runs.proportions, runs.losses):
        irreducible, exponents = single[:, 0] - top, single[:, 1:] - np.log(terms)
        centred = exponents - exponents.mean(axis=1, keepdims=True)
        order = np.argsort(np.argsort(-np.abs(centred), axis=1, kind="stable"), axis=1, kind="stable")
        for lean in (1.0, terms) if terms > 1 else (0.0,):
            parts = [exponents + lean * np.where(order % terms == term, centred, 0.0) for term in range(terms)]
            if lean == terms:
                parts = [part - centred for part in parts]
            starts.append(np.column_stack([irreducible, *parts]))
    return np.stack(starts)


def _prior(domains: int, losses: Array, terms: int) -> Prior:
    """Exponents of a term alike, vertices as bad as the worst run, wide bounds; one term alone needs no ridge."""
    span, targets = ranges(losses), losses.shape[1]
    precision = np.zeros((targets, 1 + terms * domains, 1 + terms * domains))
    ridge = np.kron(np.eye(terms), np.eye(domains) - 1 / domains) / SLOPE_SPREAD**2
    precision[:, 1:, 1:] = ridge if terms > 1 else 0.0
    lower = np.repeat(np.log(span)[:, None] + SMALLEST, 1 + terms * domains, axis=1)
    upper = np.repeat(np.log(span)[:, None] + LARGEST, 1 + terms * domains, axis=1)
    lower[:, 0], upper[:, 0] = -(1 + WIDEST_GAP) * span, 0.0
    return Prior(
        precision=precision,
        centre=np.zeros((targets, 1 + terms * domains)),
        lower=lower,
        upper=upper,
        anchors=np.zeros((targets, domains)),
        anchor_spread=vertex_spread(losses, domains, VERTEX_SPREAD, VERTEX_FADING),
    )
