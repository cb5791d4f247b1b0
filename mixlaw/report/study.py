"""The page of a study: what was asked, what came out, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mixlaw.fitting.asked import Asked
from mixlaw.mixture import Array
from mixlaw.optimize.optimum import Optimum
from mixlaw.optimize.pareto import pareto, read_groups
from mixlaw.outcome import CONFIDENCE, Outcome
from mixlaw.report.page import Section, render
from mixlaw.report.sections.choice import choice, in_short, mixtures_named, trade_off
from mixlaw.report.sections.coverage import coverage
from mixlaw.report.sections.curves import curves
from mixlaw.report.sections.fits import the_law, who_helps
from mixlaw.report.sections.made import fitted, made
from mixlaw.report.sections.moved import moved, others
from mixlaw.report.sections.outcome import result
from mixlaw.report.sections.probed import probed
from mixlaw.report.style import styled
from mixlaw.study import Study
from mixlaw.study_files import CORPUS, FULL_RUNS, LAW, MIXTURES, OPTIMUM, PLAN, PROBE, RUNS, WEIGHTS_OVER_TIME
from mixlaw.surfaces.single import common_scale
from mixlaw.weights import weights_of
from mixlaw.wording import in_words

GROUPS = "groups.json"
"""Groups of targets in a study's folder, as `mixlaw pareto` reads them: with them the page shows the front."""

SEEN = 5e-4
"""Nats by which two predictions may differ before a reader of four decimals asks why."""

FILES = (PLAN, CORPUS, MIXTURES, RUNS, LAW, OPTIMUM, FULL_RUNS)


def study_page(study: Study) -> str:
    """One self-contained HTML page of everything that a study has so far."""
    with styled():
        sections = [*_answers(study), *_beside(study), _mixtures(study)]
        if study.runs is not None:
            sections.append(curves(study.runs, study.plan.weights or None, study.plan.training.schedule == "constant"))
        if study.law is not None:
            sections += [the_law(study.law), who_helps(study.law)]
        sections.append(_made(study))
    return render(f"{study.plan.name}: which mixture to train on", _question(study), sections, _in_short(study))


def _question(study: Study) -> list[str]:
    plan = study.plan
    available = ", ".join(f"{domain} {in_words(tokens)}" for domain, tokens in study.available.items())
    weights = weights_of(plan.weights or None, study.targets)
    listed = ", ".join(
        f"{name} {weight:.0%}" for name, weight in zip(study.targets, weights, strict=True) if weight > 0
    )
    return [
        f"A model of {in_words(study.target_scale[0])} non-embedding parameters is to be trained on "
        f"{in_words(plan.target.tokens)} tokens. Which share of them should come from each domain, if the loss that "
        f"counts is weighted {listed}?",
        f"There are {available} unique tokens, and none may be read more than {plan.target.max_epochs:g} times. "
        f"{_progress(study)}",
    ]


def _progress(study: Study) -> str:
    """What was done about it so far."""
    if study.runs is None:
        return "No proxy has been trained yet."
    done = "Small models (proxies) were trained on many mixtures"
    if study.law is None or study.optimum is None:
        return f"{done}; no law has been fitted to their losses yet."
    if not study.is_trained:
        return f"{done}, and a law was fitted to their losses; its best mixture has not been trained in full yet."
    trained = {} if study.full_runs is None else set(study.full_runs.frame["group"])
    beside = " beside the obvious ones" if len(study.compared.keys() & trained) > 1 else ""
    return f"{done}, a law was fitted to their losses, and the law's best mixture was then trained in full{beside}."


def _in_short(study: Study) -> Mapping[str, str]:
    """The answer in a few numbers, as far as the study has got."""
    optimum = study.optimum
    if optimum is None:
        return {}
    short = in_short(optimum)
    found = {outcome.name: outcome for outcome in study.outcomes}
    if "optimum" in found:
        short["its loss measured, nats"] = f"{found['optimum'].mean:.3f}"
    if {"optimum", "natural"} <= found.keys():
        short["gained over the natural mixture"] = _gain(found["natural"], found["optimum"])
    return short


def _gain(other: Outcome, best: Outcome) -> str:
    return f"{other.mean - best.mean:+.3f} ({other.predicted - best.predicted:+.3f} predicted)"


def _answers(study: Study) -> list[Section]:
    if study.law is None or study.optimum is None:
        return []
    found = [result(study.outcomes)] if study.outcomes else []
    params, tokens = study.target_scale
    at = study.law.for_choosing(params, tokens)
    limits = study.limits.ordered(study.law.domains)
    chosen = choice(at, study.optimum, limits.cap)
    found.append(replace(chosen, warnings=(*_outdated(study.optimum, study.outcomes), *chosen.warnings)))
    groups = study.folder / GROUPS
    if groups.is_file():
        wanted = read_groups(groups, study.law.targets)
        named = mixtures_named(study.optimum, study.law.domains)
        found.append(trade_off(at, pareto(at, wanted, limits), wanted, named, "under the plan's limits"))
    return found


def _outdated(optimum: Optimum, found: Sequence[Outcome]) -> list[str]:
    """That the optimum's own prediction is not the one the full runs are held against, which is the law's of today."""
    now = next((outcome for outcome in found if outcome.name == "optimum"), None)
    if now is None or optimum.objective == "worst" or optimum.interval != CONFIDENCE:
        return []
    said, say = (optimum.loss, optimum.low, optimum.high), (now.predicted, now.low, now.high)
    if np.allclose(said, say, rtol=0, atol=SEEN):
        return []
    return [
        f"optimum.json says {said[0]:.4f} ({said[1]:.4f} to {said[2]:.4f}), where law.json now says {say[0]:.4f} "
        f"({say[1]:.4f} to {say[2]:.4f}): it was found with another law, or other weights; run mixlaw optimize again"
    ]


def _beside(study: Study) -> list[Section]:
    """What the laws had no part in: runs by hand, runs whose weights moved, searches for weights, probes."""
    unpredicted = None if study.full_runs is None else others(study.full_runs, study.predicted, study.weights)
    searches = sorted(study.folder.glob(f"*/{WEIGHTS_OVER_TIME}"))
    found = [
        unpredicted,
        moved(study.folder / WEIGHTS_OVER_TIME),
        *(moved(path, f"Weights over time in the search '{path.parent.name}'") for path in searches),
        probed(study.folder / PROBE),
    ]
    return [section for section in found if section is not None]


def _mixtures(study: Study) -> Section:
    domains = study.domains
    named: dict[str, Array] = {}
    if study.optimum:
        named["optimum"] = study.optimum.mixture.aligned(domains)
    named |= {name: study.mixtures[name].aligned(domains) for name in ("natural", "uniform") if name in study.mixtures}
    if study.runs is None:
        return coverage(domains, np.array([mixture.aligned(domains) for mixture in study.mixtures.values()]), named)
    _, _, part = common_scale(study.runs)
    order = [part.domains.index(domain) for domain in domains]
    losses = part.losses @ weights_of(study.plan.weights or None, part.targets)
    return coverage(domains, part.proportions[:, order], named, losses)


def _made(study: Study) -> Section:
    plan = study.plan
    facts: Mapping[str, str] = {
        "seed": str(plan.seed),
        "law": f"{study.law.kind}, {study.law.scale}" if study.law else "not yet fitted",
        "proxies": f"{', '.join(plan.proxies.sizes)} at {', '.join(map(in_words, plan.proxies.tokens))} tokens",
    }
    return made([study.folder / name for name in FILES], facts, _commands(study))


def _commands(study: Study) -> list[str]:
    """The commands that make the same study stage by stage."""
    params, tokens = study.target_scale
    asked = (Asked(), study.fixed) if study.law is None else (study.law.asked, study.law.fixed)
    return [
        "mixlaw train plan.toml",
        fitted(*asked, RUNS, LAW),
        f"mixlaw optimize law.json --params {params:.0f} --tokens {tokens:.0f} --weights weights.json "
        f"--available available.json --max-epochs {study.plan.target.max_epochs:g} -o optimum.json",
        "mixlaw train plan.toml --mixture optimum.json",
        "mixlaw report .",
    ]
