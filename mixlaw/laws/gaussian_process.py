"""A Gaussian process over mixtures: a smooth black box, for comparison."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.laws.measured import Measured, distinct_runs
from mixlaw.mixture import Array, groups_of

FEWEST_MIXTURES = 4
"""Mean, amplitude, length and noise are estimated."""

FIRST = (1.0, 0.5, 0.01)
"""Amplitude² and noise² in units of the losses' variance, and the length in units of proportion, to start from."""

BOUNDS = ((1e-3, 1e4), (1e-2, 1e2), (1e-5, 1.0))
"""Bounds of amplitude², length and noise² in the same units."""


@dataclass(frozen=True)
class GaussianProcess(MixingLaw):
    """loss(r) = m + sum_i w_i exp(-|r - r_i|² / (2 l²)) over the runs r_i.

    Posterior mean of a Gaussian process with a squared-exponential kernel; its scales maximise the marginal likelihood
    (Rasmussen & Williams 2006), found by scikit-learn from one fixed start. Far from the runs it returns to the mean.
    Not convex.

    Attributes:
        mean: (V,) m, nats per token.
        lengths: (V,) l.
        runs: (n, M) mixtures of the runs.
        weights: (V, n) w, 0 where a target was not measured.
    """

    mean: Array
    lengths: Array
    runs: Array
    weights: Array

    kind: ClassVar[str] = "gaussian-process"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        fitted = [_process(runs, number) for number in range(len(targets))]
        nothing = np.zeros((len(targets), 0, 0))
        law = cls(
            domains,
            targets,
            mean=np.array([one.mean for one in fitted]),
            lengths=np.array([one.length for one in fitted]),
            runs=runs.proportions,
            weights=np.array([one.weights for one in fitted]),
        )
        return MixingFit(
            law=law,
            noise=np.array([one.noise for one in fitted]),
            freedom=np.array([one.freedom for one in fitted]),
            weights=runs.spread(np.isfinite(runs.losses).astype(float)),
            prior=nothing,
            objective=np.array([one.objective for one in fitted]),
            notes={target: one.said for target, one in zip(targets, fitted, strict=True) if one.said},
        )

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        apart = ((proportions[:, None, :] - self.runs) ** 2).sum(axis=2)
        near = np.exp(-apart[:, None, :] / (2 * self.lengths[:, None] ** 2))
        losses: Array = self.mean + np.einsum("nvi,vi->nv", near, self.weights)
        return losses

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M): sum_i w_i k(r, r_i) (r_i - r) / l²."""
        away = self.runs - proportions
        near = np.exp(-(away**2).sum(axis=1) / (2 * self.lengths[:, None] ** 2))
        slope: Array = (self.weights * near) @ away / self.lengths[:, None] ** 2
        return slope

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """4: mean, amplitude, length and noise."""
        return 4


@dataclass(frozen=True)
class _Process:
    mean: float
    length: float
    weights: Array
    noise: float
    freedom: float
    objective: float
    said: tuple[str, ...]


def _process(runs: Measured, target: int) -> _Process:
    """One target's process. scikit-learn is imported here because it would double the time to import mixlaw."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    measured = np.isfinite(runs.losses[:, target])
    rows, losses = runs.proportions[measured], runs.losses[measured, target]
    mean = float(losses.mean())
    scale = max(float(losses.std()), 1e-9 * max(abs(mean), 1.0))
    kernel = ConstantKernel(FIRST[0], BOUNDS[0]) * RBF(FIRST[1], BOUNDS[1]) + WhiteKernel(FIRST[2], BOUNDS[2])
    regressor = GaussianProcessRegressor(kernel, alpha=1e-12)
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        regressor.fit(rows, (losses - mean) / scale)
    if caught:
        said.append("a scale of the process stopped at its bound or did not converge")
    amplitude, length, noise = np.exp(regressor.kernel_.theta)
    covariance = regressor.kernel_.k1(rows)
    inverse = np.linalg.inv(covariance + (noise + regressor.alpha) * np.eye(len(rows)))
    solved = inverse @ (losses - mean)
    weights = np.zeros(len(measured))
    weights[measured] = amplitude * solved
    return _Process(
        mean=mean,
        length=float(length),
        weights=weights,
        noise=float(np.sqrt((_held_out_errors(rows, inverse, solved) ** 2).mean())),
        freedom=float(len(rows) - 1),
        objective=float(((losses - mean - covariance @ solved) ** 2).sum()),
        said=tuple(said),
    )


def _held_out_errors(rows: Array, inverse: Array, solved: Array) -> Array:
    """(n,) errors at each run of the process with the same scales that has not seen the runs of its mixture.

    A process passes through its runs where it takes their noise for shape, so what it leaves of them tells nothing.
    With K the covariance of the runs, the errors of those of one mixture are (K^-1)_gg^-1 (K^-1 y)_g, which for a
    single run is equation 5.12 of Rasmussen & Williams (2006).
    """
    errors = np.empty(len(rows))
    mixtures = groups_of(rows)
    for mixture in np.unique(mixtures):
        held = np.flatnonzero(mixtures == mixture)
        errors[held] = np.linalg.solve(inverse[np.ix_(held, held)], solved[held])
    return errors
