"""What a fit can be trusted with: cross-validated errors, what the runs cannot tell, and who decided instead."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtri, stdtrit

from mixlaw.design.spread import spread
from mixlaw.fitting.choose import Candidate
from mixlaw.fitting.choose_scale import ScaleCandidate
from mixlaw.fitting.uncertainty import Uncertainty
from mixlaw.mixture import Array
from mixlaw.surfaces.base import FitAtScale
from mixlaw.wording import counted

INTERVAL = 0.9
"""The interval that diagnostics speak of."""

ALARM = 1.5
"""Intervals that cross-validation would have this many times wider are called too narrow."""

DOWNWEIGHTED, OUTLYING = 0.5, 6.0
"""Robust weight below which a run was set aside, and how many times the spread of most residuals its own is if the law
weighs every run alike."""

FELT = 1e-6
"""Nats by which a run differs from the law that are nobody's to look into."""

EXACT = 1e-9
"""Half-width, nats, below which an interval is one of arithmetic: losses made up by a formula have such."""

DECISIVE = 0.9
"""Leverage above which a run decides its own prediction."""

SURE = 0.99
"""Quantile of the F distribution beyond which repeats and residuals are said to disagree."""

UNSEEN = 1e-6
"""Singular value, relative to the largest, below which a direction was never varied."""


@dataclass(frozen=True)
class TargetDiagnostics:
    """How well one target is known.

    Attributes:
        target: its name.
        runs: how many runs measured it.
        cv_rmse: error on runs whose mixture was held out, nats per token; None if folds leave too few runs.
        r2, rank_correlation: of held-out predictions and measured losses; rank correlation is Spearman's.
        noise: standard deviation of runs about the law, nats per token, and `freedom` its degrees of freedom.
        half_width: mean over the runs of half the 90% interval, nats per token.
        repeats_noise: standard deviation between runs of one mixture; None without repeats.
        stretch: how many times wider the 90% intervals must be to hold 90% of held-out errors (conformal, leverage-
            scaled); None without cross-validation.
        notes: what is worth knowing, in words.
    """

    target: str
    runs: int
    cv_rmse: float | None
    r2: float | None
    rank_correlation: float | None
    noise: float
    freedom: float
    half_width: float
    repeats_noise: float | None
    stretch: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Diagnostics:
    """What is known of a fit beside its parameters.

    Attributes:
        mixtures: how many different mixtures it rests on.
        parameters: how many the law has per target that runs on a simplex can tell apart.
        rank: directions of the mixture, of M - 1, that the runs varied.
        condition: of the centred proportions, each domain scaled to its spread; None if a direction was never varied.
        folds: of the cross-validation.
        targets: target by target.
        candidates: what `--law auto` compared; empty when the law was named.
        scales: what `--scale auto` compared, or the one that was named; empty for runs of one scale.
        notes: on the fit as a whole, in words.
    """

    mixtures: int
    parameters: int
    rank: int
    condition: float | None
    folds: int
    targets: tuple[TargetDiagnostics, ...]
    candidates: tuple[Candidate, ...]
    scales: tuple[ScaleCandidate, ...]
    notes: tuple[str, ...]


def diagnose(
    at: FitAtScale,
    uncertainty: Uncertainty,
    held_out: Array | None,
    runs: Sequence[str],
    *,
    folds: int,
    candidates: Sequence[Candidate] = (),
    scales: Sequence[ScaleCandidate] = (),
    notes: Sequence[str] = (),
) -> Diagnostics:
    """Examine a fit at one scale.

    Args:
        at: the fit.
        uncertainty: how sure it is.
        held_out: (n, V) predictions of each run without its mixture; None where no fold could be fitted.
        runs: (n,) names of the runs.
        folds: of that cross-validation.
        candidates, scales: laws and surfaces that were compared.
        notes: what choosing law and scale had to say.
    """
    law = at.fit.law
    described = spread(at.proportions, law.domains)
    parameters = type(law).identifiable(len(law.domains))
    rank, unseen = directions(at.proportions, law.domains)
    leverage = uncertainty.leverage(at.proportions)
    said = [*notes, *described.warnings, *unseen]
    if held_out is None:
        said.append(
            "not cross-validated over mixtures: the law is fitted to several scales at once; its backtest speaks for it"
        )
    said += prior_dominated(described.mixtures, parameters)
    decisive = sorted(
        run for run, of_targets in zip(runs, leverage.tolist(), strict=True) if min(of_targets) > DECISIVE
    )
    if decisive:
        verb = "decides its own prediction" if len(decisive) == 1 else "decide their own predictions"
        said.append(f"{_listed(decisive)} {verb} (leverage above {DECISIVE:g})")
    return Diagnostics(
        mixtures=described.mixtures,
        parameters=parameters,
        rank=rank,
        condition=described.condition if np.isfinite(described.condition) else None,
        folds=folds,
        targets=tuple(_target(number, at, uncertainty, held_out, runs, leverage) for number in range(len(law.targets))),
        candidates=tuple(candidates),
        scales=tuple(scales),
        notes=tuple(said),
    )


def prior_dominated(mixtures: int, parameters: int) -> tuple[str, ...]:
    """Say, if so, that a law has more parameters per target than it rests on different mixtures."""
    if mixtures >= parameters:
        return ()
    return (
        f"prior-dominated: {counted(mixtures, 'mixture')} for {counted(parameters, 'parameter')} per target; priors "
        "decide what the runs leave open",
    )


def directions(proportions: Array, domains: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """How many directions of the simplex the runs varied, and which domains take part in those they did not.

    A domain that never varies is named by `mixlaw.design.spread`; here are domains that vary only together.
    """
    centred = proportions - proportions.mean(axis=0)
    varied = np.flatnonzero(np.ptp(proportions, axis=0) > UNSEEN)
    if len(varied) < 2:
        return 0, ()
    _, values, vectors = np.linalg.svd(centred[:, varied])
    values = np.append(values, np.zeros(max(0, len(varied) - len(values))))
    seen = int((values > UNSEEN * values[0]).sum())
    constant = len(varied) - 1 - seen
    if constant <= 0:
        return seen, ()
    # Two domains' effects can be compared if they have the same coordinates in what is unseen; the largest set of such
    # domains is what the runs do tell.
    _, member, size = np.unique(np.round(vectors[seen:].T, 6), axis=0, return_inverse=True, return_counts=True)
    told = size.max() > 1
    taking_part = [
        domains[m] for m, cell in zip(varied.tolist(), member.ravel(), strict=True) if not told or cell != size.argmax()
    ]
    if len(taking_part) == len(varied):
        return seen, (
            f"the runs vary {seen} of the {len(varied) - 1} directions in which {len(varied)} domains can move: the "
            "effect of no single domain can be told from the others'; add mixtures",
        )
    plural = "a combination" if constant == 1 else f"{constant} combinations"
    return seen, (
        f"the runs never vary {plural} of {', '.join(map(repr, taking_part))}: their effects cannot all be told apart; "
        "add mixtures in which they move separately",
    )


def _target(
    number: int, at: FitAtScale, uncertainty: Uncertainty, held_out: Array | None, runs: Sequence[str], leverage: Array
) -> TargetDiagnostics:
    losses = at.losses[:, number]
    known = ~np.isnan(losses)
    target = at.fit.law.targets[number]
    half = uncertainty.half_width(at.proportions, INTERVAL)[:, number]
    notes = list(at.fit.notes.get(target, ()))
    cv_rmse = r2 = rank = stretch = None
    if held_out is not None:
        predicted, measured = held_out[known, number], losses[known]
        errors = measured - predicted
        cv_rmse = float(np.sqrt(np.mean(errors**2)))
        r2 = float(1 - np.mean(errors**2) / np.var(measured)) if np.ptp(measured) else None
        rank = _rank_correlation(predicted, measured)
        stretch = conformal_stretch(
            errors, leverage[known, number], float(uncertainty.noise[number]), float(uncertainty.freedom[number])
        )
        if r2 is not None and r2 <= 0:
            notes.append("not predicted: for held-out mixtures the mean of all losses is as good a guess as the law")
        if stretch > ALARM:
            notes.append(
                f"intervals too narrow: errors on held-out mixtures ask for {stretch:.2g} times the width; "
                "the law does not fit these runs well"
            )
    notes += _far(losses - at.fit.law.predict(at.proportions)[:, number], at.fit.weights[:, number], runs)
    repeats, repeats_freedom = _repeats(losses, known, at.groups)
    noise, freedom = float(uncertainty.noise[number]), float(uncertainty.freedom[number])
    if repeats_freedom:
        notes += _agreement(noise, freedom, repeats, repeats_freedom)
    return TargetDiagnostics(
        target=target,
        runs=int(known.sum()),
        cv_rmse=cv_rmse,
        r2=r2,
        rank_correlation=rank,
        noise=noise,
        freedom=freedom,
        half_width=float(half[known].mean()),
        repeats_noise=float(np.sqrt(repeats)) if repeats_freedom else None,
        stretch=stretch,
        notes=tuple(notes),
    )


def conformal_stretch(
    errors: Array, leverage: Array, noise: float, freedom: float, interval: float = INTERVAL
) -> float:
    """How many times wider intervals must be to hold their share of held-out errors.

    Each error is divided by the half-width the delta method gives a run that the fit has not seen: a run of leverage h
    within the fit has h / (1 - h) outside it, so its deviation is noise / sqrt(1 - h). The answer is the quantile of
    those ratios, as cross-validated conformal prediction takes it (Barber et al. 2021, 1905.02928) but without its
    guard of (n + 1) / n, which for few runs makes the worst of them an alarm.
    """
    deviation = noise / np.sqrt(1 - np.clip(leverage, 0.0, 0.99))
    ratios = np.abs(errors) / np.maximum(deviation * stdtrit(freedom, 0.5 + interval / 2), EXACT)
    return float(np.quantile(ratios, interval))


def _far(residuals: Array, weights: Array, runs: Sequence[str]) -> list[str]:
    """Runs that a robust fit set aside, or ought to: diverged, mislabelled, or nothing the law can say."""
    sizes = np.abs(residuals)
    # 1.4826 times the median of absolute residuals is their standard deviation if they are normal but for a few.
    limit = OUTLYING * 1.4826 * float(np.nanmedian(sizes))
    far = [
        f"{runs[n]} ({residuals[n]:+.2g})"
        for n in np.argsort(-sizes, kind="stable").tolist()
        if sizes[n] > FELT and weights[n] > 0 and (weights[n] < DOWNWEIGHTED or sizes[n] > limit)
    ]
    return [f"far from the law, in nats: {_listed(far)}; check their logs"] if far else []


def _rank_correlation(first: Array, second: Array) -> float | None:
    ranks = pd.Series(first).rank().to_numpy(), pd.Series(second).rank().to_numpy()
    if min(np.ptp(ranks[0]), np.ptp(ranks[1])) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _repeats(losses: Array, known: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, int]:
    """Variance between runs of one mixture and its degrees of freedom; (0, 0) without repeats."""
    values, index = losses[known], np.unique(groups[known], return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(index)
    freedom = int((sizes - 1).sum())
    if not freedom:
        return 0.0, 0
    centre = np.bincount(index, values) / sizes
    return float(((values - centre[index]) ** 2).sum()) / freedom, freedom


def _agreement(noise: float, freedom: float, repeats: float, repeats_freedom: int) -> list[str]:
    """Whether runs differ from the law by more, or by less, than runs of one mixture differ from each other."""
    ratio = noise**2 / max(repeats, np.finfo(float).tiny)
    if ratio > fdtri(freedom, repeats_freedom, SURE):
        return [
            f"lack of fit: runs differ from the law by {noise:.3g}, repeats from each other by {np.sqrt(repeats):.3g}; "
            "more runs will not help, another law may"
        ]
    if ratio < fdtri(freedom, repeats_freedom, 1 - SURE):
        return [
            f"repeats differ from each other by {np.sqrt(repeats):.3g}, runs from the law by only {noise:.3g}; look at "
            "the repeated runs"
        ]
    return []


def _listed(names: Sequence[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
