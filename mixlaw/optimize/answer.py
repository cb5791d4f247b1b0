"""Everything that is said of a mixture once it is found."""

from collections.abc import Mapping

import numpy as np

from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.baselines import baseline_mixtures
from mixlaw.optimize.cautions import cautions
from mixlaw.optimize.interior_point import Solution
from mixlaw.optimize.near_optimal import ranges
from mixlaw.optimize.optimum import Baseline, Optimum
from mixlaw.optimize.prices import active_limits
from mixlaw.optimize.program import Program
from mixlaw.optimize.question import Question
from mixlaw.optimize.regret import regret_of
from mixlaw.optimize.repetition import Discounted
from mixlaw.version import __version__

CERTIFIED = 1e-6
"""Gap, nats per token, up to which an optimum is called certified; the solver itself stops far below."""

EXTENTS = 120
"""Domains up to which near-optimal ranges are worked out: they take two programs for each."""

SEED = 20240325


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
        active=active_limits(program, best, asked.names, asked.what) if best is not None else (),
        baselines=baselines,
        near_optimal=near,
        slack=asked.slack,
        expected_regret=regret,
        warnings=(*at.warnings, *cautions(asked, mixture, baselines, regret), *notes),
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
        found[name] = Baseline(mixture, asked.loss_at(other), better, asked.allows(other))
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
