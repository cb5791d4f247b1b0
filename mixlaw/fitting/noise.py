"""The noise of runs about a law: what repeats share of it, how large it is by target, and how targets share it."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from mixlaw.mixture import Array

REAL_SPREAD, REAL_COUNT = 1.0, 3
"""Variance of the logarithms of different targets' variances before they are seen, and the targets it counts for: on
validation sets of code, prose and mathematics noise differs by e^±0.5 from its geometric mean."""


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


def correlation_of(residuals: Array, measured: NDArray[np.bool_]) -> Array:
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
    kept = 1 - doubt / spread if spread > doubt else 0.0
    shrunk = np.where(apart, mean + kept * (sample - mean), 1.0)
    # Blanks make pairs rest on different runs; the nearest matrix without negative eigenvalues is a correlation again.
    values, vectors = np.linalg.eigh(shrunk)
    nearest = vectors * np.maximum(values, 0.0) @ vectors.T
    size = np.sqrt(np.diag(nearest))
    correlation: Array = nearest / np.outer(size, size)
    return correlation
