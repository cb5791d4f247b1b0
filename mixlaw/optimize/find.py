"""From a law to the best mixture under limits."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mixlaw.design.within import rounded_within
from mixlaw.errors import Refused, one_of
from mixlaw.fitting.choose import CANDIDATES, choose
from mixlaw.fitting.law import Law, LawAtScale
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture
from mixlaw.optimize.answer import answer
from mixlaw.optimize.ensemble import refitted
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.nonconvex import search
from mixlaw.optimize.optimum import Optimum
from mixlaw.optimize.printed import DECIMALS, printed
from mixlaw.optimize.program import Program
from mixlaw.optimize.question import OBJECTIVES, Question, at_most_of, limits_of, prior_of
from mixlaw.optimize.repetition import discounted
from mixlaw.optimize.worst_case import start_within
from mixlaw.surfaces.base import FitAtScale
from mixlaw.weights import weights_of

SLACK = 0.01
"""Nats per token: about what two runs of one mixture differ by in published runs, so no pair of runs would show it."""

PULL = 0.05
"""Nats of loss that a nat of divergence from a prior costs by default (Olmix 2026, arXiv 2602.12237)."""


MET = 1e-9
"""Largest violation of a limit, proportions or nats, that counts as rounding."""


def optimize(
    law: Law,
    *,
    params: float | None = None,
    tokens: float | None = None,
    weights: Mapping[str, float] | None = None,
    limits: Limits | None = None,
    objective: str = "mean",
    prior: Mixture | None = None,
    kl: float | None = None,
    within_kl: float | None = None,
    at_most: Mapping[str, float] | None = None,
    baselines: Mapping[str, Mixture] | None = None,
    slack: float = SLACK,
    trust: bool = False,
    discount_repeats: bool = False,
    interval: float = 0.9,
) -> Optimum:
    """Find the mixture of least predicted loss, and prove it.

    Args:
        law: fitted to runs.
        params, tokens: the scale; by default the largest measured.
        weights: importance of targets; equal by default.
        limits: which mixtures are allowed; by default all. See `Limits.of`.
        objective: "mean", the weighted loss; "worst", the largest loss among targets with a positive weight; "robust",
            the weighted loss by whichever law says the most: this one, or one refitted without a tenth of the mixtures.
        prior: a mixture to stay near.
        kl: nats of loss that one nat of divergence from the prior costs; 0.05 where a prior is given without.
        within_kl: largest divergence from the prior allowed, nats.
        at_most: target -> largest predicted loss allowed.
        baselines: mixtures to compare with, by name ("current", "natural").
        slack: nats per token within which mixtures count as near-optimal; 0 leaves their ranges out.
        trust: keep every domain within 1.5 times the largest proportion that any run had.
        discount_repeats: count repeated data for less (see `mixlaw.optimize.repetition`); needs limits with available
            tokens, and a law whose losses fall with more of any domain.
        interval: how often the interval of the loss is to hold the measured one.

    Raises:
        Refused: for limits that no mixture meets, saying which and by how much; for unknown names; for a prior of 0
            where its divergence counts.
    """
    one_of(objective, OBJECTIVES, "objective")
    if not 0 < interval < 1:
        raise Refused(f"the interval is {interval:g}; it is a probability between 0 and 1, such as 0.9")
    if not (np.isfinite(slack) and slack >= 0):
        raise Refused(f"the slack is {slack:g}; it must be a number of at least 0, nats per token")
    if kl is None:
        kl = PULL if prior is not None and within_kl is None else 0.0
    allowed = limits_of(law, limits, trust)
    if objective == "robust" and discount_repeats:
        raise Refused("a robust objective with a discount of repeats is not worked out; leave one of them")
    at = law.for_choosing(params, tokens)
    asked = Question(
        at=discounted(at, allowed.supply) if discount_repeats else at,
        refits=refitted(at) if objective == "robust" else (),
        params=at.params if params is None else float(params),
        tokens=_tokens(at, allowed, tokens),
        weights=weights_of(weights, law.targets),
        limits=allowed,
        objective=objective,
        prior=prior_of(law, allowed, prior, kl, within_kl),
        kl=kl,
        within_kl=within_kl,
        at_most=at_most_of(law, at_most or {}),
        baselines=baselines or {},
        slack=slack,
        interval=interval,
    )
    origin = {"law": law.kind, "runs": law.evidence.source, "runs_sha256": law.evidence.sha256}
    return replace(_answer(asked), origin={key: value for key, value in origin.items() if value})


def _tokens(at: LawAtScale, limits: Limits, tokens: float | None) -> float:
    """Tokens of the run that the mixture is for; not those of the law's runs where it was asked about a longer one."""
    if limits.supply is not None:
        return limits.supply.budget_tokens
    return at.tokens if tokens is None else float(tokens)


def _answer(asked: Question) -> Optimum:
    law = asked.at.law
    program = asked.program(law)
    if asked.convex(law):
        return _certified(asked, program)
    return _uncertified(asked, program)


def _certified(asked: Question, program: Program) -> Optimum:
    best = solve(program, start=start_within(program, asked.names))
    proportions = printed(program, best)
    violation = program.violation(proportions)
    if violation > MET:
        raise Refused(
            f"the solver met the limits only to within {violation:.1e}; they leave next to no room: relax one"
        )
    found = answer(asked, program, proportions, best)
    if found.certified:
        return found
    return replace(found, warnings=(f"the solver stopped at a gap of {found.gap:.1e} nats", *found.warnings))


def _uncertified(asked: Question, program: Program) -> Optimum:
    """The best of many searches, and beside it the certified optimum of the best convex law of the same runs."""
    at = asked.at
    found = search(program, at.proportions)
    if program.violation(found.proportions) > MET:
        losses, (divergence, _) = program.law.predict(found.proportions[None])[0], program.divergence(found.proportions)
        excess = program.excess(losses, divergence)[~program.ceilings.lifted]
        over = [f"the {name} by {nats:.4f}" for name, nats in zip(asked.names, excess, strict=True) if nats > 0]
        raise Refused(
            f"the {at.law.kind} law is not convex, and {len(found.others) + 1} searches found no mixture that keeps "
            f"every limit: the nearest exceeds {' and '.join(over)} nats; relax that, or fit a convex law to learn "
            "whether it can be kept"
        )
    spread = max(found.others, default=found.value) - found.value
    warnings = [
        f"the {at.law.kind} law is not convex: this is the best of {len(found.others) + 1} searches, which ended up to "
        f"{spread:.4f} nats apart; nothing proves that there is no better mixture"
    ]
    beside = _convex_optimum(asked)
    if beside is not None:
        warnings.append(
            f"beside it stands the certified optimum of the {beside.origin['law']} law of the same runs: loss "
            f"{beside.loss:.4f}"
        )
    optimum = answer(asked, program, rounded_within(found.proportions, asked.limits, DECIMALS[0]), None)
    return replace(optimum, warnings=(*warnings, *optimum.warnings), convex_optimum=beside)


def _convex_optimum(asked: Question) -> Optimum | None:
    at = asked.at
    kinds = [kind for kind in CANDIDATES if kind in LAWS and kind != at.law.kind]
    groups = np.unique(np.round(at.proportions, 6), axis=0, return_inverse=True)[1].reshape(-1)
    try:
        _, candidates = choose((at.law.domains, at.law.targets), (at.proportions, at.losses), groups, kinds)
        kind = next((candidate.kind for candidate in candidates if candidate.convex), kinds[0])
        fit = LAWS[kind].fit(at.law.domains, at.law.targets, at.proportions, at.losses)
    except Refused:
        return None
    nothing = np.zeros(len(at.law.targets))
    beside_it = FitAtScale(fit, at.proportions, at.losses, groups, nothing, run_noise=at.uncertainty.run_noise)
    uncertainty = uncertainty_of(beside_it)
    beside = replace(asked, at=replace(at, law=fit.law, uncertainty=uncertainty), slack=0.0)
    program = beside.program(fit.law)
    if not beside.convex(fit.law):
        return None
    try:
        found = _certified(beside, program)
    except Refused:
        return None
    return replace(found, origin={"law": kind})
