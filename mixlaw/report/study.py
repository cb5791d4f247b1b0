"""The report of a study: what was asked, what came out, and why."""

from collections.abc import Mapping

import numpy as np

from mixlaw.law import Law
from mixlaw.mixture import Array
from mixlaw.optimize.optimum import Optimum
from mixlaw.outcome import Outcome, seed_noise, verdicts
from mixlaw.plan import Plan
from mixlaw.report.figures import (
    Curve,
    Measured,
    fitted_against_measured,
    interactions,
    loss_curves,
    mixtures_sampled,
    optimum_against_baselines,
    predicted_and_measured,
)
from mixlaw.report.page import Drawing, Section, Table, render
from mixlaw.report.style import styled
from mixlaw.runs import RunTable
from mixlaw.study import Study
from mixlaw.version import __version__
from mixlaw.weights import weights_of
from mixlaw.wording import counted, in_words

AVERAGED = (
    "Every loss is that of a model averaged over the last steps of a training at a constant rate, which stands for a "
    "training that ended there."
)
POINT = 0.01
"""One percentage point."""


def study_page(study: Study) -> str:
    """One self-contained HTML page of everything that a study has so far."""
    sections = []
    with styled():
        if study.law and study.optimum and study.outcomes:
            sections.append(_result(study.plan, study.optimum, study.outcomes))
        if study.law and study.optimum:
            sections.append(_optimum(study.law, study.optimum, study.limits.ordered(study.law.domains).cap))
        sections.append(_design(study))
        if study.runs is not None:
            sections.append(_curves(study.plan, study.runs))
        if study.law is not None:
            sections.append(_law(study.law))
            sections.append(_who_helps(study.law, study.plan))
    sections.append(_made(study))
    return render(f"{study.plan.name}: which mixture to train on", _question(study), sections)


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
        f"There are {available} unique tokens, and none may be read more than {plan.target.max_epochs:g} times.",
    ]


def _result(plan: Plan, optimum: Optimum, found: tuple[Outcome, ...]) -> Section:
    noise, freedom = seed_noise(found)
    measured = [
        Measured(outcome.name, outcome.predicted, outcome.low, outcome.high, outcome.measured) for outcome in found
    ]
    inside = sum(outcome.inside for outcome in found)
    return Section(
        title="What came out",
        paragraphs=[
            f"Each mixture was trained in full with {counted(plan.target.seeds, 'seed')}. The measured loss lies in "
            f"the 90% interval of the prediction for {inside} of {len(found)} mixtures; runs of one mixture differ "
            f"between seeds by {noise:.4f} nats (standard deviation, {freedom} degrees of freedom)."
        ],
        points=verdicts(found),
        tables=[_losses(found), _targets(found)],
        figures=[
            Drawing.of(
                predicted_and_measured(measured),
                "Weighted loss of the full runs. Bars: what the law predicted from the proxies alone, with the 90% "
                "interval for one run; the tick is the prediction. Circles: what was measured. Further left is better.",
            )
        ],
    )


def _losses(found: tuple[Outcome, ...]) -> Table:
    rows = [
        [
            outcome.name,
            f"{outcome.predicted:.4f}",
            f"{outcome.low:.4f} to {outcome.high:.4f}",
            f"{outcome.mean:.4f}",
            ", ".join(f"{loss:.4f}" for loss in outcome.measured),
            f"{outcome.mean - outcome.predicted:+.4f}",
        ]
        for outcome in found
    ]
    columns = ["mixture", "predicted", "90% interval", "measured", "by seed", "measured - predicted"]
    return Table(columns, rows, chosen="optimum")


def _targets(found: tuple[Outcome, ...]) -> Table:
    targets = list(found[0].by_target)
    rows = [
        [target, *(f"{outcome.by_target[target][0]:.3f} / {outcome.by_target[target][1]:.3f}" for outcome in found)]
        for target in targets
    ]
    return Table(["target (predicted / measured)", *(outcome.name for outcome in found)], rows)


def _optimum(law: Law, optimum: Optimum, cap: Array) -> Section:
    named = {"optimum": optimum.mixture.aligned(law.domains)}
    named |= {name: baseline.mixture.aligned(law.domains) for name, baseline in optimum.baselines.items()}
    rows = [
        [
            domain,
            *(f"{proportions[place]:.2%}" for proportions in named.values()),
            " to ".join(f"{end:.1%}" for end in optimum.near_optimal[domain]) if domain in optimum.near_optimal else "",
            f"{optimum.epochs[domain]:.2f}" if domain in optimum.epochs else "",
        ]
        for place, domain in enumerate(law.domains)
    ]
    proof = (
        f"No allowed mixture has a predicted loss lower by more than {optimum.gap:.1e} nats: a certificate "
        "computed apart from the solver says so."
        if optimum.certified and optimum.gap is not None
        else "That it is the best is NOT proved: the law is not convex."
    )
    paragraphs = [f"Predicted loss {optimum.loss:.4f} nats ({optimum.low:.4f} to {optimum.high:.4f}). {proof}"]
    if optimum.near_optimal:
        paragraphs.append(f"The optimum is flat: the ranges lose at most {optimum.slack:g} nats, one domain at a time.")
    columns = ["domain", *named, "nearly as good", "epochs"]
    return Section(
        title="The chosen mixture",
        paragraphs=paragraphs,
        points=[active.words for active in optimum.active],
        warnings=list(optimum.warnings),
        tables=[Table(columns, rows)],
        figures=[
            Drawing.of(
                optimum_against_baselines(law.domains, named, optimum.near_optimal, cap),
                "The chosen proportion of every domain against the baselines.",
            )
        ],
    )


def _design(study: Study) -> Section:
    domains = study.domains
    sampled = np.array([mixture.aligned(domains) for mixture in study.mixtures.values()])
    named: dict[str, Array] = {}
    if study.optimum:
        named["optimum"] = study.optimum.mixture.aligned(domains)
    named |= {name: study.mixtures[name].aligned(domains) for name in ("natural", "uniform") if name in study.mixtures}
    figure = mixtures_sampled(domains, sampled, named)
    caption = "Every tick is the proportion of one domain in one mixture of the swarm."
    return Section(
        title="The mixtures the proxies trained on",
        paragraphs=[f"{counted(len(sampled), 'mixture')} of {counted(len(domains), 'domain')}."],
        figures=[Drawing.of(figure, caption)],
    )


def _curves(plan: Plan, runs: RunTable) -> Section:
    weights = weights_of(plan.weights or None, runs.targets)
    totals = runs.losses @ weights
    groups = runs.frame["group"].astype(str) if "group" in runs.frame else runs.frame["run"]
    curves = []
    for run, rows in runs.frame.assign(total=totals).groupby("run", sort=True):
        rows = rows.sort_values("tokens")
        group = str(groups[runs.frame["run"] == run].iloc[0])
        name = group if group in ("natural", "uniform") else ""
        curves.append(Curve(float(rows["params"].iloc[0]), rows["tokens"].to_numpy(), rows["total"].to_numpy(), name))
    return Section(
        title="What the proxies measured",
        paragraphs=[
            f"{counted(len(curves), 'run')}, {counted(len(runs), 'measured checkpoint')}.",
            *([AVERAGED] if plan.training.schedule == "constant" else []),
        ],
        figures=[Drawing.of(loss_curves(curves), "Weighted loss of every proxy against tokens, by model size.")],
    )


def _law(law: Law) -> Section:
    at = law.at()
    targets = law.targets
    fitted, held_out = at.law.predict(at.proportions), False
    rows = [
        [
            target.target,
            str(target.runs),
            _number(target.cv_rmse),
            _number(target.r2, 2),
            _number(target.rank_correlation, 2),
            _number(target.noise),
            _number(target.repeats_noise),
            _number(target.half_width),
        ]
        for target in law.diagnostics.targets
    ]
    columns = ["target", "runs", "error held out", "R² held out", "rank held out", "noise", "noise of repeats", "± 90%"]
    notes = [f"{target.target}: {note}" for target in law.diagnostics.targets for note in target.notes]
    return Section(
        title="The law",
        paragraphs=[
            f"Law '{law.kind}', carried across scales by '{law.scale}', fitted to {counted(law.evidence.runs, 'run')}. "
            f"The table and the figure are at the largest scale measured ({in_words(at.params)} parameters, "
            f"{in_words(at.tokens)} tokens); errors held out come from fits that did not see the mixture."
        ],
        points=[*law.diagnostics.notes, *notes],
        tables=[Table(columns, rows)],
        figures=[
            Drawing.of(
                fitted_against_measured(targets, fitted, at.losses, held_out),
                "The law against the losses of the proxies at the largest scale, one panel a target.",
            )
        ],
    )


def _who_helps(law: Law, plan: Plan) -> Section:
    at = law.at()
    centre = at.proportions.mean(axis=0)
    slope = at.law.slope(centre)
    effect = POINT * (slope - (slope @ centre)[:, None]) / (1 - centre)
    figure = interactions(law.domains, law.targets, effect)
    caption = (
        "How the loss of each target (rows) changes when a domain (columns) gets one more percentage point, the "
        "others giving way in proportion, at the mean mixture of the swarm. Blue helps, red hurts; cells in "
        "thousandths of a nat."
    )
    return Section(title="Which domain helps which target", figures=[Drawing.of(figure, caption)])


def _made(study: Study) -> Section:
    plan = study.plan
    facts: Mapping[str, str] = {
        "mixlaw": __version__,
        "seed": str(plan.seed),
        "run table sha256": study.runs.sha256 if study.runs is not None else "not yet measured",
        "law": f"{study.law.kind}, {study.law.scale}" if study.law else "not yet fitted",
        "proxies": f"{', '.join(plan.proxies.sizes)} at {', '.join(map(in_words, plan.proxies.tokens))} tokens",
    }
    return Section(title="How it was made", facts=facts, code=_commands(study))


def _commands(study: Study) -> str:
    """The commands that make the same study stage by stage."""
    params, tokens = study.target_scale
    return "\n".join(
        [
            "mixlaw train plan.toml",
            "mixlaw fit runs.csv -o law.json",
            f"mixlaw optimize law.json --params {params:.0f} --tokens {tokens:.0f} --weights weights.json "
            f"--available available.json --max-epochs {study.plan.target.max_epochs:g} -o optimum.json",
            "mixlaw train plan.toml --mixture optimum.json",
            "mixlaw report .",
        ]
    )


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"
