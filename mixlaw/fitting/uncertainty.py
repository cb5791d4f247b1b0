"""How sure a law is: the delta method, clustered by mixture, with every target's error tied to the others'."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtr, stdtrit

from mixlaw.fitting.noise import correlation_of, moderated, shared_by_repeats
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.surfaces.base import FitAtScale

CHUNK = 256
"""Mixtures whose loadings are held in memory at once."""

TRACE = 1e-10
"""Precision added to every parameter, as a share of what decides it already."""


@dataclass(frozen=True)
class Uncertainty:
    """What a fitted law's predictions may be off by.

    The error of a predicted loss is, to first order, a linear combination of unit errors: those of the measured losses,
    which targets share by their correlation C, and those of the priors, which all targets share, since they share the
    priors (the delta method). With φ_v(r) and ψ_v(r) the coefficients of both for target v at mixture r, and σ_v the
    noise of a run, the errors of two predictions have covariance

        cov(error_u(q), error_v(r)) = σ_u σ_v (C_uv φ_u(q)·φ_v(r) + ψ_u(q)·ψ_v(r)).

    A newly measured run differs from the law by the noise of a run on top. `noise` is what runs differ from the law by,
    lack of fit included, so intervals hold for what is measured next, not for an ideal mean.

    Attributes:
        law: the law at one scale.
        by_runs: (V, p, k) change of each parameter by a unit error of the measured losses, in units of the noise.
        by_priors: (V, p, p) the same by a unit error of the priors.
        noise: (V,) standard deviation of a run about the law, nats per token.
        freedom: (V,) degrees of freedom `noise` is known with, for t quantiles.
        correlation: (V, V) of the targets' errors within a run.
        run_noise: (V,) what a single run differs by from what was carried of its mixture, on top of `noise`; 0 where
            the law was fitted to single runs.
        scale_error: (V,) standard deviation of carrying losses to this scale, nats per token, the same for every
            mixture: part of an interval, absent from a comparison.
    """

    law: MixingLaw
    by_runs: Array
    by_priors: Array
    noise: Array
    freedom: Array
    correlation: Array
    run_noise: Array
    scale_error: Array

    def loadings(self, proportions: Array) -> Array:
        """φ and ψ side by side, shape (V, n, k + p), for mixtures (n, M): of one target, all its unit errors."""
        slope = parameter_slope(self.law, proportions)
        return np.concatenate([np.matmul(slope, self.by_runs), np.matmul(slope, self.by_priors)], axis=2)

    def covariance(self, proportions: Array, against: Array | None = None) -> Array:
        """Covariance (n, V, V) of the errors of the targets' predicted losses at mixtures (n, M), nats² per token².

        Run noise and scale error are not in it: add `noise_covariance` for a newly measured run.

        Args:
            proportions: (n, M) mixtures.
            against: (n, M) mixtures whose predictions are subtracted first, row by row: then what both err by cancels.
        """
        found = []
        for start in range(0, max(len(proportions), 1), CHUNK):
            slope = parameter_slope(self.law, proportions[start : start + CHUNK])
            if against is not None:
                slope = slope - parameter_slope(self.law, against[start : start + CHUNK])
            runs, priors = np.matmul(slope, self.by_runs), np.matmul(slope, self.by_priors)
            together = self.correlation * np.einsum("unk,vnk->nuv", runs, runs, optimize=True)
            found.append(together + np.einsum("unk,vnk->nuv", priors, priors, optimize=True))
        covariance: Array = np.concatenate(found) * np.outer(self.noise, self.noise)
        return covariance

    @property
    def noise_covariance(self) -> Array:
        """(V, V) covariance of the targets' losses of one run about the law, nats² per token²."""
        both = np.hypot(self.noise, self.run_noise)
        covariance: Array = self.correlation * np.outer(both, both)
        return covariance

    def leverage(self, proportions: Array) -> Array:
        """(n, V) variance of each prediction over that of a run: near 1 where one run decides the prediction.

        0 for a target whose runs lie on the law to the last digit, as no measured ones do.
        """
        variance = np.einsum("nvv->nv", self.covariance(proportions))
        leverage: Array = np.divide(variance, self.noise**2, out=np.zeros_like(variance), where=self.noise > 0)
        return leverage

    def drawn(self, proportions: Array, weights: Array, count: int, random: np.random.Generator) -> Array:
        """Errors (count, n) of the predicted weighted loss at mixtures (n, M), as laws that may be true have them."""
        slope = parameter_slope(self.law, proportions)
        values, vectors = np.linalg.eigh(self.correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        units = random.standard_normal((count, len(weights), self.by_runs.shape[2]))
        shared = random.standard_normal((count, self.by_priors.shape[2]))
        errors = np.zeros((count, len(proportions)))
        for v in np.flatnonzero(weights):
            moved = np.tensordot(units, root[v], axes=(1, 0)) @ self.by_runs[v].T + shared @ self.by_priors[v].T
            errors += weights[v] * self.noise[v] * moved @ slope[v].T
        return errors

    def deviation(self, proportions: Array, weights: Array | None = None) -> tuple[Array, Array]:
        """Standard deviation of newly measured losses about the predictions, and its degrees of freedom.

        Args:
            proportions: (n, M) mixtures.
            weights: (V,) for the weighted total of the targets; None for each target apart.

        Returns:
            Deviations in nats per token and degrees of freedom: (n, V) and (V,) by target, (n, 1) and (1,) for a total.
            The scale errors of the targets are taken to add up in a total, since what they share is not known.
        """
        covariance = self.covariance(proportions) + self.noise_covariance
        if weights is None:
            variance = np.einsum("nvv->nv", covariance) + self.scale_error**2
            return np.sqrt(variance), self.freedom
        total = np.einsum("u,nuv,v->n", weights, covariance, weights) + (weights @ self.scale_error) ** 2
        return np.sqrt(np.maximum(total, 0.0))[:, None], self._freedom_of(weights)

    def half_width(self, proportions: Array, interval: float, weights: Array | None = None) -> Array:
        """Half the width of central intervals that hold `interval` of newly measured losses; shapes as `deviation`."""
        deviation, freedom = self.deviation(proportions, weights)
        half: Array = deviation * stdtrit(freedom, 0.5 + interval / 2)
        return half

    def probability_better(self, first: Array, second: Array, weights: Array) -> Array:
        """Probability that a run on `first` measures a lower weighted loss than one on `second`.

        Errors that the two predictions share cancel; the noise of both runs does not.

        Args:
            first: (n, M) mixtures.
            second: (n, M) the mixtures to compare them with, row by row.
            weights: (V,) or (k, V) importance of the targets, k weightings at once.

        Returns:
            (n,) or (k, n); exactly 1/2 where the mixtures are the same.
        """
        rows = np.atleast_2d(weights)
        gain = (self.law.predict(second) - self.law.predict(first)) @ rows.T
        covariance = self.covariance(first, second) + 2 * self.noise_covariance
        variance = np.einsum("ku,nuv,kv->nk", rows, covariance, rows, optimize=True)
        deviation = np.sqrt(np.maximum(variance, np.finfo(float).tiny))
        freedom = np.array([self._freedom_of(row)[0] for row in rows])
        probability: Array = stdtr(freedom, gain / deviation).T
        return probability if weights.ndim == 2 else probability[0]

    def _freedom_of(self, weights: Array) -> Array:
        shares = weights**2 * self.noise**2
        if not shares.any():  # targets without any noise: their intervals have no width, whatever it is known with
            return np.array([self.freedom[weights > 0].min()])
        return np.array([shares @ self.freedom / max(float(shares.sum()), np.finfo(float).tiny)])


def parameter_slope(law: MixingLaw, proportions: Array) -> Array:
    """The law's `parameter_slope`, or none (p = 0) for a black box, whose intervals then hold the noise alone."""
    try:
        return law.parameter_slope(proportions)
    except NotImplementedError:
        return np.zeros((len(law.targets), len(proportions), 0))


def uncertainty_of(at: FitAtScale) -> Uncertainty:
    """Say how sure a fit is.

    With J the slopes of the n measured losses in the parameters, W the robust weights and P the precision of the
    priors, a measured loss moves the parameters by B = (JᵀWJ + P)⁻¹ JᵀW, and a prior by (JᵀWJ + P)⁻¹ P^½.
    Runs of one mixture share the law's misfit there: their errors have correlation ρ, estimated from how much repeats
    differ, so copying a run adds no knowledge (ρ = 1), and repeating one with another seed adds some.

    The variance of a run is the fit's (robust) residual sum of squares over its expectation for unit variance given ρ;
    the targets' variances are then moderated by each other, which matters when runs are few.
    """
    fit, measured = at.fit, ~np.isnan(at.losses)
    residuals = np.where(measured, at.losses - fit.law.predict(at.proportions), 0.0)
    slope = parameter_slope(fit.law, at.proportions)
    shared = shared_by_repeats(residuals, measured, at.groups)
    repeats = np.eye(int(at.groups.max()) + 1)[at.groups] if shared else np.zeros((len(measured), 0))
    targets = [
        _Target(
            slope[v],
            fit.weights[:, v] * measured[:, v],
            fit.prior[v] if slope.shape[2] else np.zeros((0, 0)),
            repeats * measured[:, v : v + 1],
            shared,
        )
        for v in range(len(fit.law.targets))
    ]
    squares = fit.noise**2 * fit.freedom
    expected = np.array([target.expected_squares() for target in targets])
    variance, freedom = moderated(squares / expected, np.array([target.freedom() for target in targets]))
    return Uncertainty(
        law=fit.law,
        by_runs=np.stack([target.by_runs() for target in targets]),
        by_priors=np.stack([target.by_priors() for target in targets]),
        noise=np.sqrt(variance),
        freedom=freedom,
        correlation=correlation_of(residuals, measured),
        run_noise=np.zeros(len(fit.law.targets)) if at.run_noise is None else at.run_noise,
        scale_error=at.scale_error,
    )


@dataclass(frozen=True)
class _Target:
    """One target's linearised fit: slope (n, p), weights (n,), prior (p, p), members (n, g), ρ."""

    slope: Array
    weights: Array
    prior: Array
    members: Array
    shared: float

    @cached_property
    def precision(self) -> Array:
        """(p, p) of the priors, and a trace more: what neither runs nor priors decide is to be wide, not lost."""
        decided = np.einsum("np,n,np->p", self.slope, self.weights, self.slope) + np.diag(self.prior)
        least = max(TRACE * float(decided.max(initial=0.0)), np.finfo(float).eps)
        precision: Array = self.prior + np.diag(TRACE * np.maximum(decided, least))
        return precision

    @cached_property
    def inverse(self) -> Array:
        """(p, p) inverse normal matrix, solved with each parameter scaled to its own size."""
        normal = self.slope.T @ (self.weights[:, None] * self.slope) + self.precision
        scale = 1 / np.sqrt(np.diag(normal))
        values, vectors = np.linalg.eigh(normal * np.outer(scale, scale))
        half = scale[:, None] * vectors / np.sqrt(np.maximum(values, TRACE / 10))
        inverse: Array = half @ half.T
        return inverse

    @cached_property
    def moves(self) -> Array:
        """B (p, n), how measured losses move the parameters."""
        return self.inverse @ (self.slope * self.weights[:, None]).T

    def by_runs(self) -> Array:
        """How unit errors of the measured losses move the parameters: of each run alone, and as repeats share them."""
        alone, together = np.sqrt(1 - self.shared), np.sqrt(self.shared)
        return np.hstack([alone * self.moves, together * self.moves @ self.members])

    def by_priors(self) -> Array:
        """How unit errors of the priors do; by the symmetric root, so that targets agree on what each error is."""
        values, base = np.linalg.eigh(self.precision)
        moves: Array = self.inverse @ (base * np.sqrt(np.maximum(values, 0.0))) @ base.T
        return moves

    def expected_squares(self) -> float:
        """Expected weighted residual sum of squares for unit noise.

        With H = JB and Ω the correlation of the runs' errors, tr W(I − H)Ω(I − H)ᵀ for the noise, plus
        tr BJ(JᵀWJ + P)⁻¹P for parameters that are drawn from their priors. With Ω = I and W = I, tr(I − H).
        """
        left = np.eye(len(self.slope)) - self.slope @ self.moves
        alone = np.einsum("n,nm,nm->", self.weights, left, left)
        together = np.einsum("n,ng,ng->", self.weights, *(left @ self.members,) * 2)
        drawn = np.trace(self.moves @ self.slope @ self.inverse @ self.precision)
        return max(float((1 - self.shared) * alone + self.shared * together + drawn), 1e-3 * len(self.slope))

    def freedom(self) -> float:
        """Degrees of freedom of the residuals, at least 1: repeats count for as much as they add."""
        known = float(np.count_nonzero(self.weights))
        sizes = self.members.sum(0)
        repeated = float((sizes / (1 + (sizes - 1) * self.shared)).sum()) if self.shared else known
        return max(self.expected_squares() * repeated / max(known, 1.0), 1.0)
