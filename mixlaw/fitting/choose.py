"""Choose a mixing law by cross-validation in which no mixture is on both sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array

Index = NDArray[np.int64]

CANDIDATES = ("linear", "exponential", "root-exponential", "reciprocal")
"""What `--law auto` chooses among: laws of a formula, convex in the mixture or nearly, that fit in seconds."""

MANY = 100
"""From so many mixtures on 5 folds do: each leaves 80 to fit, and costs a fit of every candidate."""

CERTIFIED_WORTH = 2.0
"""Standard errors that the best convex law may be behind one that is not."""

SEED = 20240325


@dataclass(frozen=True)
class Candidate:
    """How one law did in cross-validation.

    Attributes:
        kind: the law.
        parameters: how many it has per target that runs can tell apart.
        convex: whether the law fitted to all runs is convex for every target, so that its optimum can be certified.
        score: mean over targets of the squared error over the variance of the losses: 1 - R². None if it was refused.
        behind: how much larger the score is than the best one's, and `doubt` the standard error of that, from the
            differences of both laws' errors mixture by mixture.
        rmse: (V,) error of each target, nats per token; empty if refused.
        refused: why the law could not be fitted, or nothing.
    """

    kind: str
    parameters: int
    convex: bool
    score: float | None
    behind: float | None
    doubt: float | None
    rmse: tuple[float, ...]
    refused: str = ""


def folds_of(groups: Index) -> Index:
    """(n,) fold of each run: a mixture is in one fold, folds differ by one mixture at most, drawn by a fixed seed.

    10 folds below 100 mixtures (each mixture its own where there are fewer than 10), 5 from there on.
    """
    mixtures, member = np.unique(groups, return_inverse=True)
    count = min(len(mixtures), 10 if len(mixtures) < MANY else 5)
    order = np.random.default_rng(SEED).permutation(len(mixtures))
    fold = np.empty(len(mixtures), dtype=np.int64)
    fold[order] = np.arange(len(mixtures)) % count
    return fold[member.reshape(-1)]


def held_out(
    family: type[MixingLaw], names: tuple[tuple[str, ...], tuple[str, ...]], runs: tuple[Array, Array], folds: Index
) -> Array:
    """Predictions (n, V) of each run by a law that was fitted without its fold.

    Args:
        family: the law.
        names: domains and targets.
        runs: proportions (n, M) and losses (n, V).
        folds: (n,) from `folds_of`.

    Raises:
        Refused: if a fold leaves too few runs for this law.
    """
    proportions, losses = runs
    predictions = np.empty_like(losses)
    for fold in range(int(folds.max()) + 1):
        test = folds == fold
        law = family.fit(*names, proportions[~test], losses[~test]).law
        predictions[test] = law.predict(proportions[test])
    return predictions


def choose(
    names: tuple[tuple[str, ...], tuple[str, ...]], runs: tuple[Array, Array], groups: Index, kinds: Sequence[str]
) -> tuple[str, tuple[Candidate, ...]]:
    """Choose the simplest convex law that cross-validation cannot tell from the best.

    The convex law of least score is preferred if it is behind the best of all by at most `CERTIFIED_WORTH` standard
    errors of the difference: an optimum with a proof is worth an error that is hardly told from the least. Of the
    convex laws behind that one by at most one standard error (Breiman et al. 1984), the one of fewest parameters is
    taken; if no convex law is near the best, so it is among all. The standard error is taken over mixtures, since runs
    of one mixture are not independent evidence.

    Args:
        names: domains and targets.
        runs: proportions (n, M) and losses (n, V).
        groups: (n,) the same for repeats of one mixture.
        kinds: laws to compare.

    Returns:
        The kind chosen, and every candidate from best to worst.

    Raises:
        Refused: if no candidate can be fitted; with what the first one said.
    """
    folds = folds_of(groups)
    errors: dict[str, Array] = {}
    refused: list[Candidate] = []
    for kind in kinds:
        try:
            errors[kind] = runs[1] - held_out(LAWS[kind], names, runs, folds)
        except Refused as error:
            parameters = LAWS[kind].identifiable(len(names[0]))
            refused.append(Candidate(kind, parameters, False, None, None, None, (), str(error)))
    if not errors:
        raise Refused(refused[0].refused)
    scores = {kind: _by_mixture(error**2 / np.nanvar(runs[1], axis=0), groups) for kind, error in errors.items()}
    best = min(scores.values(), key=lambda score: float(score.mean()))
    found = [_candidate(kind, names, runs, errors[kind], scores[kind], best) for kind in scores]
    found.sort(key=lambda candidate: (candidate.score, candidate.parameters))
    return _simplest(found, scores).kind, (*found, *refused)


def _simplest(ranked: Sequence[Candidate], scores: Mapping[str, Array]) -> Candidate:
    """Of the convex laws, or of all if no convex one is near the best, the simplest that is near the best of them."""
    convex = [candidate for candidate in ranked if candidate.convex]
    if convex:
        behind, doubt = _behind(scores[convex[0].kind], scores[ranked[0].kind])
        if behind > CERTIFIED_WORTH * doubt:
            convex = []
    rivals = convex or list(ranked)
    near = []
    for candidate in rivals:
        behind, doubt = _behind(scores[candidate.kind], scores[rivals[0].kind])
        if behind <= doubt:
            near.append(candidate)
    return min(near, key=lambda candidate: (candidate.parameters, candidate.score))


def _behind(score: Array, best: Array) -> tuple[float, float]:
    """How much larger one law's score is than another's, and the standard error of that, mixture by mixture."""
    difference = score - best
    doubt = float(np.std(difference, ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else 0.0
    return float(difference.mean()), doubt


def _candidate(
    kind: str,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    runs: tuple[Array, Array],
    errors: Array,
    score: Array,
    best: Array,
) -> Candidate:
    behind, doubt = _behind(score, best)
    return Candidate(
        kind=kind,
        parameters=LAWS[kind].identifiable(len(names[0])),
        convex=bool(LAWS[kind].fit(*names, *runs).law.convex.all()),
        score=float(score.mean()),
        behind=behind,
        doubt=doubt,
        rmse=tuple(float(value) for value in np.sqrt(np.nanmean(errors**2, axis=0))),
    )


def _by_mixture(squares: Array, groups: Index) -> Array:
    """Mean over targets and repeats of squared errors (n, V), one number a mixture."""
    measured = ~np.isnan(squares)
    index = np.unique(groups, return_inverse=True)[1].reshape(-1)
    total = np.bincount(index, np.where(measured, squares, 0.0).sum(axis=1))
    count = np.bincount(index, measured.sum(axis=1).astype(float))
    means: Array = (total / np.maximum(count, 1.0))[count > 0]
    return means
