"""What to be careful about with a mixture that was chosen for its prediction."""

from collections.abc import Mapping

import numpy as np

from mixlaw.fitting.extrapolation import FAR, beyond, distance_from_hull
from mixlaw.fitting.law import LawAtScale
from mixlaw.mixture import Mixture
from mixlaw.optimize.optimum import Baseline
from mixlaw.optimize.question import Question
from mixlaw.optimize.repetition import Discounted

AS_GOOD_AS_NEW = 4.0
"""Passes over a domain up to which repeated data are nearly as good as new (Muennighoff et al. 2023, 2305.16264)."""

FELT = 1e-3
"""Expected regret, nats per token, below which nobody would feel it."""

SURE = 0.9
"""Probability of being better below which a baseline is named as one that may be as good."""


def cautions(
    asked: Question, mixture: Mixture, baselines: Mapping[str, Baseline], regret: float | None
) -> tuple[str, ...]:
    """Say what the prediction of an optimum should not be trusted with, in words; nothing where there is nothing.

    Args:
        asked: the question.
        mixture: its answer.
        baselines: what it was compared with, by name.
        regret: expected, nats per token, where it was worked out.
    """
    return (
        *_beyond_the_runs(asked.at, mixture),
        *_not_surely_better(mixture, baselines),
        *_read_too_often(asked, mixture),
        *_curse(regret),
    )


def _beyond_the_runs(at: LawAtScale, mixture: Mixture) -> list[str]:
    proportions, runs = np.array(mixture.proportions), at.evidence
    found = beyond(runs, mixture.domains, proportions)
    said = []
    if found.outside:
        distance = distance_from_hull(runs, proportions)
        said.append(
            f"the optimum is no average of the runs' mixtures (the nearest is {distance:.3f} away): there the law "
            "extrapolates, and its interval holds only if its form does"
        )
    for domain, times in found.far.items():
        place = mixture.domains.index(domain)
        said.append(
            f"the optimum has {proportions[place]:.3g} of '{domain}', {times:.3g} times the largest proportion of any "
            f"run ({runs[:, place].max():.3g}): nothing measured supports that; --trust keeps within {FAR:g} times"
        )
    return said


def _not_surely_better(mixture: Mixture, baselines: Mapping[str, Baseline]) -> list[str]:
    unsure = [
        f"{baseline.probability_better:.2f} ({name})"
        for name, baseline in baselines.items()
        if baseline.allowed
        and baseline.mixture.proportions != mixture.proportions
        and baseline.probability_better is not None
        and baseline.probability_better < SURE
    ]
    if not unsure:
        return []
    return [
        f"a run on the optimum measures less than one on a baseline with probability {', '.join(unsure)} only: the law "
        "cannot tell them apart for sure"
    ]


def _read_too_often(asked: Question, mixture: Mixture) -> list[str]:
    supply = asked.limits.supply
    if supply is None or isinstance(asked.at.law, Discounted):
        return []
    epochs = supply.epochs(np.array(mixture.proportions))
    often = [f"'{d}' {e:.3g} times" for d, e in zip(mixture.domains, epochs, strict=True) if e > AS_GOOD_AS_NEW + 1e-3]
    if not often:
        return []
    return [
        f"{', '.join(often)}: beyond {AS_GOOD_AS_NEW:g} passes repeated data are worth clearly less than new, and this "
        "law counts them as new; see --discount-repeats"
    ]


def _curse(regret: float | None) -> list[str]:
    """Say that a chosen prediction leans low.

    Where a law is off by e(r) with slope ∇e and curvature H, its optimum is off by H⁻¹∇e: the chosen mixture loses
    ½ ∇e'H⁻¹∇e to the true best, and its prediction is too low by twice as much on average.
    """
    if regret is None or regret < FELT:
        return []
    return [
        f"the winner's curse: of many mixtures this one was chosen for its prediction, which therefore leans low, by "
        f"about {2 * regret:.4f} nats; {regret:.4f} nats better mixtures are to be expected among those that the runs "
        "leave open"
    ]
