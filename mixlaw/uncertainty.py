"""How sure a law is: the delta method, clustered by mixture, with every target's error tied to the others'."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtr, stdtrit

from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.surfaces.base import FitAtScale

CHUNK = 256
"""Mixtures whose loadings are held in memory at once."""

TRACE = 1e-10
"""Precision added to every parameter, as a share of what decides it already."""

REAL_SPREAD, REAL_COUNT = 1.0, 3
"""Variance of the logarithms of different targets' variances before they are seen, and the targets it counts for: on
validation sets of code, prose and mathematics noise differs by e^±0.5 from its geometric mean."""


@dataclass(frozen=True)
class Uncertainty:
    """What a fitted law's predictions may be off by.

    The error of a predicted loss is, to first order, a linear combination of k independent unit errors: those of the
    measured losses and those of the priors (the delta method). With φ_v(r) the coefficients for target v at mixture r,
    σ_v the noise of a run and C the correlation of noise across targets, the errors of two predictions have covariance

        cov(error_u(q), error_v(r)) = C_uv σ_u σ_v φ_u(q)·φ_v(r).

    A newly measured run differs from the law by the noise of a run on top. `noise` is what runs differ from the law by,
    lack of fit included, so intervals hold for what is measured next, not for an ideal mean.

    Attributes:
        law: the law at one scale.
        spread: (V, p, k) change of each parameter by a unit error, in units of the noise.
        noise: (V,) standard deviation of a run about the law, nats per token.
        freedom: (V,) degrees of freedom `noise` is known with, for t quantiles.
        correlation: (V, V) of the targets' errors within a run.
        scale_error: (V,) standard deviation of carrying losses to this scale, nats per token, the same for every
            mixture: part of an interval, absent from a comparison.
    """

    law: MixingLaw
    spread: Array
    noise: Array
    freedom: Array
    correlation: Array
    scale_error: Array

    def loadings(self, proportions: Array) -> Array:
        """φ, shape (V, n, k), for mixtures (n, M): what a unit error does to each prediction, in units of the noise."""
        slope = parameter_slope(self.law, proportions)
        loadings: Array = np.matmul(slope, self.spread)
        return loadings

    def covariance(self, proportions: Array) -> Array:
        """Covariance (n, V, V) of the targets' predicted losses at mixtures (n, M), nats² per token².

        Run noise and scale error are not in it: add `noise_covariance` for a newly measured run.
        """
        parts = [self.loadings(part) for part in _chunks(proportions)]
        return np.concatenate([np.einsum("unk,vnk->nuv", part, part) * self.noise_covariance for part in parts])

    @property
    def noise_covariance(self) -> Array:
        """(V, V) covariance of the targets' losses of one run about the law, nats² per token²."""
        return self.correlation * np.outer(self.noise, self.noise)

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
        variances = []
        for left, right in zip(_chunks(first), _chunks(second), strict=True):
            apart = self.loadings(left) - self.loadings(right)
            covariance = (np.einsum("unk,vnk->nuv", apart, apart) + 2) * self.noise_covariance
            variances.append(np.einsum("ku,nuv,kv->nk", rows, covariance, rows))
        deviation = np.sqrt(np.maximum(np.concatenate(variances), np.finfo(float).tiny))
        freedom = np.array([self._freedom_of(row)[0] for row in rows])
        probability: Array = stdtr(freedom, gain / deviation).T
        return probability if weights.ndim == 2 else probability[0]

    def _freedom_of(self, weights: Array) -> Array:
        shares = weights**2 * self.noise**2
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
        spread=np.stack([target.spread() for target in targets]),
        noise=np.sqrt(variance),
        freedom=freedom,
        correlation=_correlation(residuals, measured),
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

    def spread(self) -> Array:
        """How unit errors move the parameters: those of runs alone, those repeats share, those of the priors."""
        # The symmetric root: a prior's k-th error then means the same for every target, so that they can share it.
        values, base = np.linalg.eigh(self.precision)
        root = self.inverse @ (base * np.sqrt(np.maximum(values, 0.0))) @ base.T
        alone, together = np.sqrt(1 - self.shared), np.sqrt(self.shared)
        return np.hstack([alone * self.moves, together * self.moves @ self.members, root])

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


def shared_by_repeats(residuals: Array, measured: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """Correlation in [0, 1] of the errors of runs on the same mixture; 0 when no mixture is repeated.

    One minus the variance within mixtures over the variance about the law, averaged over targets: what repeats do not
    share is seed noise, what they share is lack of fit.
    """
    ratios = []
    for v in range(residuals.shape[1]):
        values, index = residuals[measured[:, v], v], groups[measured[:, v]]
        sizes = np.bincount(index)
        spare = int((sizes[sizes > 0] - 1).sum())
        total = float(values @ values) / max(len(values), 1)
        if spare and total > 0:
            centre = np.bincount(index, values) / np.maximum(sizes, 1)
            ratios.append(float(((values - centre[index]) ** 2).sum()) / spare / total)
    return float(np.clip(1 - np.mean(ratios), 0.0, 1.0)) if ratios else 0.0


def moderated(variance: Array, freedom: Array) -> tuple[Array, Array]:
    """Draw the targets' variances (V,) toward their geometric mean by as much as they cannot be told apart.

    With f degrees of freedom the logarithm of a variance is known to trigamma(f / 2); what logarithms of variances of
    different targets spread beyond that is taken as real (empirical Bayes for log variances, as Smyth 2004,
    doi 10.2202/1544-6115.1027, does for variances). A few targets tell little of a spread, so it starts from a spread
    of `REAL_SPREAD`, as if `REAL_COUNT` further targets had shown it.

    Returns:
        Variances and the degrees of freedom they are now known with, at most all targets' together; (V,) each.
    """
    if len(variance) < 2 or not (variance > 0).all():
        return variance, freedom
    doubt = polygamma(1, freedom / 2)
    centred = np.log(variance) - _log_bias(freedom)
    seen = float(((centred - centred.mean()) ** 2).sum() - (len(centred) - 1) * doubt.mean())
    real = max(seen + REAL_COUNT * REAL_SPREAD, 0.0) / (len(centred) - 1 + REAL_COUNT)
    kept = real / (real + doubt)
    drawn = kept * centred + (1 - kept) * np.average(centred, weights=1 / (real + doubt))
    together = np.array([_inverse_trigamma(float(value)) for value in np.maximum(kept * doubt, 1e-9)]) * 2
    known_with = np.clip(together, freedom, freedom.sum())
    return np.exp(drawn + _log_bias(known_with)), known_with


def _log_bias(freedom: Array) -> Array:
    """Mean of the logarithm of a unit variance estimated with so many degrees of freedom."""
    bias: Array = digamma(freedom / 2) - np.log(freedom / 2)
    return bias


def _inverse_trigamma(value: float) -> float:
    """The x with trigamma(x) = value, by Newton steps on the reciprocal, which is nearly linear in x."""
    x = 0.5 + 1 / value
    for _ in range(50):
        found = float(polygamma(1, x))
        x += found * (1 - found / value) / float(polygamma(2, x))
    return x


def _correlation(residuals: Array, measured: NDArray[np.bool_]) -> Array:
    """Correlation (V, V) of targets' residuals, each shrunk to their mean by as much as they are uncertain.

    A run that is off is off in most targets, so the mean, not 0, is where few runs leave them (Ledoit & Wolf 2004,
    doi 10.3905/jpm.2004.110, with the amount of Schäfer & Strimmer 2005, doi 10.2202/1544-6115.1175).
    """
    count = residuals.shape[1]
    if count == 1:
        return np.ones((1, 1))
    scale = np.sqrt(np.maximum((residuals**2).sum(0) / np.maximum(measured.sum(0), 1), np.finfo(float).tiny))
    both = np.maximum(measured.T.astype(float) @ measured, 1.0)
    apart = ~np.eye(count, dtype=bool)
    sample = np.clip((residuals / scale).T @ (residuals / scale) / both, -1, 1)
    mean = float(sample[apart].mean())
    doubt = float(((1 - sample**2) ** 2 / np.maximum(both - 1, 1.0))[apart].sum())
    spread = float(((sample - mean) ** 2)[apart].sum())
    shrunk = np.where(apart, mean + max(0.0, 1 - doubt / max(spread, np.finfo(float).tiny)) * (sample - mean), 1.0)
    # Blanks make pairs rest on different runs; the nearest matrix without negative eigenvalues is a correlation again.
    values, vectors = np.linalg.eigh(shrunk)
    nearest = vectors * np.maximum(values, 0.0) @ vectors.T
    size = np.sqrt(np.diag(nearest))
    correlation: Array = nearest / np.outer(size, size)
    return correlation


def _chunks(proportions: Array) -> list[Array]:
    return [proportions[start : start + CHUNK] for start in range(0, max(len(proportions), 1), CHUNK)]
