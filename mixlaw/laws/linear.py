"""The linear mixing law with a ridge chosen by generalised cross-validation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.laws.evidence import believed
from mixlaw.laws.levenberg import Mask
from mixlaw.laws.measured import Measured, distinct_runs
from mixlaw.mixture import Array

FEWEST_MIXTURES = 3

RIDGES = np.concatenate([[0.0], np.geomspace(1e-8, 1e4, 121)])
"""Ridges tried, as shares of the mean squared singular value of the design: from none to a constant loss."""

UNSEEN = 1e-9
"""Singular value, as a share of the largest, below which the runs do not vary along a direction at all."""


@dataclass(frozen=True)
class Linear(MixingLaw):
    """loss(r) = v . r, v_j the loss of training on domain j alone.

    Linear regression on proportions (RegMix's baseline: Liu et al. 2024, arXiv 2407.01492). The ridge on differences
    between domains is the one with the least generalised cross-validation score n RSS / (n - dof)² (Golub, Heath &
    Wahba 1979), per target. Convex, but its optimum is always at a corner of what is allowed.

    Attributes:
        vertices: (V, M) v, nats per token.
    """

    vertices: Array

    kind: ClassVar[str] = "linear"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        solved = [_ridge(runs, number) for number in range(len(targets))]
        measured = np.isfinite(runs.losses).astype(float)
        return MixingFit(
            law=cls(domains, targets, np.array([one.vertices for one in solved])),
            noise=np.array([one.noise for one in solved]),
            freedom=np.array([one.freedom for one in solved]),
            weights=runs.spread(measured),
            prior=np.array([one.precision for one in solved]),
            objective=np.array([one.objective for one in solved]),
            notes={},
        )

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        return proportions @ self.vertices.T

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): v, whatever the mixture."""
        return self.vertices.copy()

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """None."""
        return Curvature(np.zeros((0, len(self.domains))), np.zeros(len(self.domains)))

    @property
    def convex(self) -> Mask:
        """Always."""
        return np.ones(len(self.targets), dtype=bool)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in v: the proportions, shape (V, n, M)."""
        return np.repeat(proportions[None], len(self.targets), axis=0)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """M."""
        return domain_count


@dataclass(frozen=True)
class _Ridge:
    vertices: Array
    noise: float
    freedom: float
    precision: Array
    objective: float


def _ridge(runs: Measured, target: int) -> _Ridge:
    """Ridge regression of one target; differences between domains are shrunk, their mean is not."""
    kept = np.isfinite(runs.losses[:, target])
    losses, rows = runs.losses[kept, target], runs.proportions[kept]
    count, domains = rows.shape
    # v = m + w with w summing to 0, in an orthonormal basis of such vectors: r . v = m + (r basis) . z on the simplex.
    basis = np.linalg.svd(np.ones((1, domains)))[2][1:].T
    features = rows @ basis
    centre, mean = features.mean(axis=0), losses.mean()
    left, singular, right = np.linalg.svd(features - centre, full_matrices=False)
    seen = singular > UNSEEN * max(float(singular.max(initial=0.0)), np.finfo(float).tiny)
    left, singular, right = left[:, seen], singular[seen], right[seen]
    along = left.T @ (losses - mean)
    rest = max(float(((losses - mean) ** 2).sum() - (along**2).sum()), 0.0)
    size = float((singular**2).mean()) if seen.any() else 1.0
    penalties = RIDGES[:, None] * size
    kept_share = singular**2 / (singular**2 + penalties)
    squares = rest + (((1 - kept_share) * along) ** 2).sum(axis=1)
    freedom = count - 1 - kept_share.sum(axis=1)
    score = np.where(freedom > 1e-6, squares / np.maximum(freedom, 1e-6) ** 2, np.inf)
    best = int(np.argmin(score))
    slopes = right.T @ (along * singular / (singular**2 + penalties[best]))
    vertices = mean - centre @ slopes + basis @ slopes
    penalty = float(penalties[best, 0])
    freedom_left, noise = float(freedom[best]), float(np.sqrt(squares[best] / max(float(freedom[best]), 1.0)))
    if seen.sum() >= count - 1:
        penalty, noise = _admitted(penalty, float(squares[best]), freedom_left, float(losses.std()))
        freedom_left = count - 1 - float((singular**2 / (singular**2 + penalty)).sum())
    precision = penalty * (np.eye(domains) - 1 / domains)
    objective = float(squares[best] + float(penalties[best, 0]) * (slopes @ slopes))
    return _Ridge(vertices, noise, max(freedom_left, 1.0), precision, objective)


def _admitted(penalty: float, squares: float, freedom: float, spread: float) -> tuple[float, float]:
    """Ridge and noise to judge a fit by that may pass through all its runs: what it leaves of them is no measure.

    The evidence's prior on the noise speaks instead. A ridge is noise² over the variance of what it shrinks, which the
    fit tells of all the same, so the ridge grows with the noise that is admitted.
    """
    if not (squares > 0 and spread > 0):
        return penalty, 0.0
    plain = float(np.sqrt(squares / freedom))
    noise = spread * float(believed(np.array([plain / spread]), np.array([freedom]))[0])
    return penalty * (noise / plain) ** 2, noise
