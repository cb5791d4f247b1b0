"""Everything that is said of a mixture once it is found."""

from collections.abc import Mapping

import numpy as np

from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.baselines import baseline_mixtures
from mixlaw.optimize.interior_point import Solution
from mixlaw.optimize.near_optimal import ranges
from mixlaw.optimize.optimum import Baseline, Optimum
from mixlaw.optimize.prices import active_limits
from mixlaw.optimize.program import Program
from mixlaw.optimize.question import Question
from mixlaw.optimize.repetition import Discounted
from mixlaw.regret import regret_of
from mixlaw.version import __version__

CERTIFIED = 1e-6
"""Gap, nats per token, up to which an optimum is called certified; the solver itself stops far below."""

EXTENTS = 120
"""Domains up to which near-optimal ranges are worked out: they take two programs for each."""

AS_GOOD_AS_NEW = 4.0
"""Passes over a domain up to which repeated data are nearly as good as new (Muennighoff et al. 2023, 2305.16264)."""

FELT = 1e-3
"""Expected regret, nats per token, below which nobody would feel it."""

SEED = 20240325

SURE = 0.9
"""Probability of being better below which a baseline is named as one that may be as good."""


def answer(asked: Question, program: Program, proportions: Array, best: Solution | None) -> Optimum:
    """Everything that is said of a mixture; without a solution, nothing is proved of it."""
    at, domains = asked.at, asked.at.law.domains
    losses = at.law.predict(proportions[None])[0]
    loss = asked.loss_at(proportions)
    low, high = asked.interval_at(proportions)
    value = program.value(proportions)
    bound = None if best is None else min(best.lower_bound, value)
    gap = None if bound is None else value - bound
    baselines, notes = _baselines(asked, proportions)
    supply = asked.limits.supply
    near: Mapping[str, tuple[float, float]] = {}
    if best is not None and asked.slack > 0:
        near, said = _near(program, best, asked.slack)
        notes += said
    regret = _expected_regret(asked, program, proportions)
    mixture = Mixture(domains, tuple(map(float, proportions)))
    return Optimum(
        mixture=mixture,
        loss=loss,
        low=low,
        high=high,
        interval=asked.interval,
        objective_value=value,
        lower_bound=bound,
        gap=gap,
        certified=gap is not None and gap <= CERTIFIED,
        losses=dict(zip(at.law.targets, map(float, losses), strict=True)),
        active=active_limits(program, best, asked.names) if best is not None else (),
        baselines=baselines,
        near_optimal=near,
        slack=asked.slack,
        expected_regret=regret,
        warnings=(*at.warnings, *_warnings(asked, mixture, baselines), *_curse(regret), *notes),
        objective=asked.objective,
        kl=asked.kl,
        divergence=program.divergence(proportions)[0],
        epochs={} if supply is None else dict(zip(domains, map(float, supply.epochs(proportions)), strict=True)),
        repeats_discounted=isinstance(at.law, Discounted),
        weights=dict(zip(at.law.targets, map(float, asked.weights), strict=True)),
        params=asked.params,
        tokens=asked.tokens,
        predicted_params=at.params,
        predicted_tokens=at.tokens,
        version=__version__,
    )


def _baselines(asked: Question, proportions: Array) -> tuple[dict[str, Baseline], list[str]]:
    at, limits = asked.at, asked.limits
    named, notes = baseline_mixtures(at, limits, asked.weights, asked.objective, asked.baselines)
    found = {}
    for name, other in named.items():
        better = None
        if asked.objective != "worst":
            better = float(at.uncertainty.probability_better(proportions[None], other[None], asked.weights)[0])
        mixture = Mixture(at.law.domains, tuple(map(float, other)))
        found[name] = Baseline(mixture, asked.loss_at(other), better, limits.allows(other))
    return found, notes


def _near(program: Program, best: Solution, slack: float) -> tuple[dict[str, tuple[float, float]], list[str]]:
    domains = program.limits.domains
    if len(domains) > EXTENTS:
        return {}, [f"near-optimal ranges are worked out for up to {EXTENTS} domains; here there are {len(domains)}"]
    found = ranges(program, best, slack)
    return {domain: (float(low), float(high)) for domain, (low, high) in zip(domains, found, strict=True)}, []


def _expected_regret(asked: Question, program: Program, proportions: Array) -> float | None:
    """How much the laws that the runs leave open would gain elsewhere, on average; for plain questions only.

    With a pull to a prior, loss limits or a worst case, those laws would have to answer another question.
    """
    plain = asked.objective == "mean" and not program.kl and not len(program.ceilings.bounds)
    if not plain or len(proportions) > EXTENTS:
        return None
    return regret_of([asked.at], proportions, asked.weights, asked.limits, np.random.default_rng(SEED)).expected


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


def _warnings(asked: Question, mixture: Mixture, baselines: Mapping[str, Baseline]) -> list[str]:
    said = list(asked.at.extrapolations({"optimum": mixture}))
    for name, baseline in baselines.items():
        better = baseline.probability_better
        same = baseline.mixture.proportions == mixture.proportions
        if baseline.allowed and not same and better is not None and better < SURE:
            said.append(
                f"a run on the optimum beats one on the {name} mixture with probability {better:.2f} only: "
                "the law cannot tell them apart for sure"
            )
    supply = asked.limits.supply
    if supply is not None and not isinstance(asked.at.law, Discounted):
        epochs = supply.epochs(np.array(mixture.proportions))
        often = [f"'{d}' {e:.3g} times" for d, e in zip(mixture.domains, epochs, strict=True) if e > AS_GOOD_AS_NEW]
        if often:
            said.append(
                f"{', '.join(often)}: beyond {AS_GOOD_AS_NEW:g} passes repeated data are worth clearly less than new, "
                "and this law counts them as new; see --discount-repeats"
            )
    return said
