"""The exponential mixing law of Ye et al. (2024, arXiv 2403.16952): the paper's M4."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import Posterior, Prior, most_probable
from mixlaw.laws.levenberg import Curve, Mask
from mixlaw.laws.measured import distinct_runs
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3
"""Two domains have three parameters; with more domains the prior decides what is left open, and the fit says so."""

SLOPE_SPREAD = 3.0
"""Standard deviation of the prior of a centred slope t_j: one domain against another changes the reducible loss by e^3."""

GAPS = 24
"""Irreducible losses tried, geometrically between the narrowest and the widest gap below the smallest loss."""

NARROWEST_GAP, WIDEST_GAP = 0.02, 50.0
"""Smallest loss minus irreducible loss, in units of the range of the losses; at 50 the law is linear to within 1%."""

STEEPEST = 40.0
"""Cap of a vertex's log reducible loss relative to the range of the losses: beyond, a slope grows without end."""


@dataclass(frozen=True)
class Exponential(MixingLaw):
    """loss(r) = c + exp(u . r), with one irreducible loss c and M exponents u per target.

    The paper writes c + k exp(t . r); on the simplex k e^a and t - a are the same law, so k and t are not separate
    parameters: u_j = log k + t_j is all that runs can tell, and c + exp(u_j) is the loss of training on domain j alone.
    Convex in the mixture. Fitted by a grid over c, a weighted log-linear start and batched Levenberg-Marquardt; a broad
    normal prior on the centred slopes decides where runs are fewer than parameters and vanishes with the noise.

    Attributes:
        irreducible: (V,) c, nats per token.
        exponents: (V, M) u.
    """

    irreducible: Array
    exponents: Array

    kind: ClassVar[str] = "exponential"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        prior = _prior(runs.proportions.shape[1], runs.losses)
        curve = ExponentialCurve(runs.proportions)
        found = most_probable(curve, exponential_starts(runs.proportions, runs.losses), runs.losses, prior)
        law = cls(domains, targets, found.theta[:, 0], found.theta[:, 1:])
        return MixingFit(
            law=law,
            noise=found.noise,
            freedom=found.freedom,
            weights=runs.spread(found.weights),
            prior=found.precision,
            objective=found.objective,
            notes=_notes(domains, targets, found, runs.losses),
        )

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        return self.irreducible + np.exp(proportions @ self.exponents.T)

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): exp(u . r) u."""
        return np.exp(self.exponents @ proportions)[:, None] * self.exponents

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian sum_v weight_v exp(u_v . r) u_v u_v', as its root."""
        root = np.sqrt(weights * np.exp(self.exponents @ proportions))[:, None] * self.exponents
        return Curvature(root, np.zeros(len(self.domains)))

    @property
    def convex(self) -> Mask:
        """Always: an exponential of a linear function."""
        return np.ones(len(self.targets), dtype=bool)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in (c, u_1, ..., u_M): shape (V, n, M + 1)."""
        return ExponentialCurve(proportions).slopes(np.column_stack([self.irreducible, self.exponents]))

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """M + 1: c and u."""
        return domain_count + 1

    def paper_constants(self) -> tuple[Array, Array]:
        """k (V,) and t (V, M) of c + k exp(t . r), with the convention that t has mean 0 over domains."""
        mean = self.exponents.mean(axis=1, keepdims=True)
        return np.exp(mean[:, 0]), self.exponents - mean

    def parameters(self) -> dict[str, Any]:
        """`irreducible` and `exponents`."""
        return {"irreducible": self.irreducible.tolist(), "exponents": self.exponents.tolist()}

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        return cls(domains, targets, np.array(parameters["irreducible"]), np.array(parameters["exponents"]))


@dataclass(frozen=True)
class ExponentialCurve(Curve):
    """c + exp(X u) for theta = (c, u), over rows X (n, M)."""

    rows: Array

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        return theta[:, :1] + np.exp(theta[:, 1:] @ self.rows.T)

    def slopes(self, theta: Array) -> Array:
        """(B, n, 1 + M): 1 and exp(X u) X."""
        reducible = np.exp(theta[:, 1:] @ self.rows.T)
        return np.concatenate([np.ones((*reducible.shape, 1)), reducible[:, :, None] * self.rows], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, 1 + M, 1 + M): exp(X u) X X' in the exponents, 0 in c."""
        reducible = pull * np.exp(theta[:, 1:] @ self.rows.T)
        bend = np.zeros((len(theta), theta.shape[1], theta.shape[1]))
        bend[:, 1:, 1:] = np.matmul((self.rows * reducible[:, :, None]).transpose(0, 2, 1), self.rows)
        return bend


def exponential_starts(rows: Array, losses: Array, ridge: float = 1e-6) -> Array:
    """Two starts per target, (2, V, 1 + M): the best gap of the grid and the best local minimum away from it.

    For a given c the law is linear in log(y - c), so one weighted solve (weights (y - c)^2, which undo the logarithm)
    gives u; what is left is the scalar c, and a grid over it is a global search.
    """
    measured = np.isfinite(losses).T
    low, high = np.nanmin(losses, axis=0), np.nanmax(losses, axis=0)
    span = np.maximum(high - low, 1e-9 * np.maximum(np.abs(high), 1.0))
    irreducible = low - np.geomspace(NARROWEST_GAP, WIDEST_GAP, GAPS)[:, None] * span
    reducible = np.where(measured, losses.T, low[:, None] + span[:, None]) - irreducible[:, :, None]
    weights = np.where(measured, reducible**2, 0.0)
    normal = np.matmul((rows * weights[:, :, :, None]).swapaxes(2, 3), rows)
    domains = rows.shape[1]
    size = np.einsum("gvjj->gv", normal)[:, :, None, None] / domains
    normal += size * (ridge * (np.eye(domains) - 1 / domains) + 1e-12 * np.eye(domains))
    exponents = np.linalg.solve(normal, ((weights * np.log(reducible)) @ rows)[:, :, :, None])[:, :, :, 0]
    error = np.where(measured, reducible - np.exp(exponents @ rows.T), 0.0)
    squares = (error**2).sum(axis=2)
    padded = np.vstack([np.full(squares.shape[1], np.inf), squares, np.full(squares.shape[1], np.inf)])
    dips = (padded[1:-1] <= padded[:-2]) & (padded[1:-1] <= padded[2:])
    first = np.argmin(squares, axis=0)
    others = np.where(dips, squares, squares.max(axis=0) + squares)
    others[first, np.arange(len(first))] = np.inf
    second = np.argmin(others, axis=0)
    grid = np.concatenate([irreducible[:, :, None], exponents], axis=2)
    return grid[np.stack([first, second]), np.arange(len(first))]


def _prior(domains: int, losses: Array) -> Prior:
    low, high = np.nanmin(losses, axis=0), np.nanmax(losses, axis=0)
    span = np.maximum(high - low, 1e-9 * np.maximum(np.abs(high), 1.0))
    targets = len(span)
    precision = np.zeros((targets, domains + 1, domains + 1))
    precision[:, 1:, 1:] = (np.eye(domains) - 1 / domains) / SLOPE_SPREAD**2
    cap = np.log(span)[:, None] + np.array([-STEEPEST, STEEPEST])
    lower = np.column_stack([low - WIDEST_GAP * span, *[cap[:, 0]] * domains])
    upper = np.column_stack([high, *[cap[:, 1]] * domains])
    return Prior(precision, np.zeros((targets, domains + 1)), lower, upper)


def _notes(
    domains: tuple[str, ...], targets: tuple[str, ...], found: Posterior, losses: Array
) -> dict[str, tuple[str, ...]]:
    """What each target's fit found worth saying."""
    notes: dict[str, tuple[str, ...]] = {}
    for number, target in enumerate(targets):
        said = []
        if not found.converged[number]:
            said.append("not converged: a step worth taking was left")
        lowest = np.nanmin(losses[:, number])
        span = np.nanmax(losses[:, number]) - lowest
        if found.at_bound[number, 0] or found.theta[number, 0] < min(0.0, lowest - 5 * span):
            said.append("irreducible loss not identified: the losses are nearly linear in the mixture")
        slopes = found.theta[number, 1:] - found.theta[number, 1:].mean()
        for domain, slope in zip(domains, slopes, strict=True):
            if abs(slope) > 4 * SLOPE_SPREAD:
                said.append(f"unbounded direction: the slope of '{domain}' ({slope:+.1f}) is held by its prior alone")
        if said:
            notes[target] = tuple(said)
    return notes
