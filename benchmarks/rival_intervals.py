"""Other ways to an interval, for the same law: conformal from cross-validation, and the bootstrap of residuals."""

import numpy as np
from regmix import Swarm

from mixlaw.fitting.choose import folds_of
from mixlaw.fitting.uncertainty import Uncertainty, uncertainty_of
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.surfaces.base import FitAtScale

Interval = tuple[Array, Array]


def fitted(family: type[MixingLaw], runs: Swarm) -> tuple[MixingLaw, Uncertainty]:
    """The law and what we say of its uncertainty."""
    fit = family.fit(runs.domains, runs.targets, runs.proportions, runs.losses)
    at = FitAtScale(fit, runs.proportions, runs.losses, np.arange(len(runs.losses)), np.zeros(len(runs.targets)))
    return fit.law, uncertainty_of(at)


def delta(family: type[MixingLaw], runs: Swarm, proportions: Array, level: float) -> Interval:
    """Ours."""
    law, uncertainty = fitted(family, runs)
    predicted, half = law.predict(proportions), uncertainty.half_width(proportions, level)
    return predicted - half, predicted + half


def conformal(family: type[MixingLaw], runs: Swarm, proportions: Array, level: float, *, scaled: bool) -> Interval:
    """CV+ (Barber et al. 2021, arXiv 1905.02928): quantiles of each fold's predictions plus and minus its own errors.

    Scaled: errors are divided by the standard deviation that leverage gives the left-out run, and multiplied by that of
    the mixture predicted.
    """
    folds = folds_of(np.arange(len(runs.losses)))
    below, above = [], []
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        kept = Swarm(runs.domains, runs.targets, runs.proportions[~out], runs.losses[~out])
        law, uncertainty = fitted(family, kept)
        errors = np.abs(runs.losses[out] - law.predict(runs.proportions[out]))
        predicted = law.predict(proportions)
        if scaled:
            errors = errors / uncertainty.deviation(runs.proportions[out])[0]
            width = errors[:, None, :] * uncertainty.deviation(proportions)[0]
        else:
            width = np.repeat(errors[:, None, :], len(proportions), axis=1)
        below.append(predicted - width)
        above.append(predicted + width)
    count = len(runs.losses)
    rank = min(1.0, level * (1 + 1 / count))
    return (
        np.quantile(np.concatenate(below), 1 - rank, axis=0, method="lower"),
        np.quantile(np.concatenate(above), rank, axis=0, method="higher"),
    )


def bootstrap(family: type[MixingLaw], runs: Swarm, proportions: Array, level: float, *, draws: int = 50) -> Interval:
    """Residual bootstrap: laws refitted to predictions plus resampled residuals, and a residual on top of each.

    Every draw has the same mixtures, so all draws are targets of one fit.
    """
    law = family.fit(runs.domains, runs.targets, runs.proportions, runs.losses).law
    predicted = law.predict(runs.proportions)
    residuals = runs.losses - predicted
    residuals = residuals - residuals.mean(axis=0)
    generator = np.random.default_rng(0)
    picks = generator.integers(0, len(residuals), (draws, len(residuals)))
    again = np.concatenate([predicted + residuals[pick] for pick in picks], axis=1)
    names = tuple(f"{draw} {target}" for draw in range(draws) for target in runs.targets)
    refitted = family.fit(runs.domains, names, runs.proportions, again).law.predict(proportions)
    spread = refitted.reshape(len(proportions), draws, len(runs.targets))
    noise = residuals[generator.integers(0, len(residuals), (len(proportions), draws))]
    return (
        np.quantile(spread + noise, (1 - level) / 2, axis=1),
        np.quantile(spread + noise, (1 + level) / 2, axis=1),
    )


def coverage(interval: Interval, measured: Array) -> float:
    """Share of measured losses inside."""
    low, high = interval
    return float(((low <= measured) & (measured <= high)).mean())


def interval_score(interval: Interval, measured: Array, level: float) -> float:
    """Width, and 2 / (1 - level) times what lies outside; lowest for the true quantiles (Gneiting & Raftery 2007)."""
    low, high = interval
    outside = np.maximum(low - measured, 0) + np.maximum(measured - high, 0)
    return float((high - low + 2 / (1 - level) * outside).mean())


def calibration_error(probability: Array, happened: Array, bins: int = 10) -> float:
    """Mean distance between predicted and observed frequency over bins of the predicted, weighted by their counts."""
    cell = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(cell, minlength=bins)
    gaps = np.bincount(cell, probability, bins) - np.bincount(cell, happened, bins)
    return float(np.abs(gaps).sum() / count.sum())
