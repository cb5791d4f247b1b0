"""The page of a law by itself: what it rests on, how far it can be trusted, and what it says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mixlaw.files import sha256
from mixlaw.fitting.law import Law, LawAtScale
from mixlaw.mixture import Array
from mixlaw.optimize.optimum import Optimum
from mixlaw.optimize.pareto import pareto
from mixlaw.optimize.question import limits_of
from mixlaw.report.page import Section, render
from mixlaw.report.sections.choice import choice, in_short, mixtures_named, trade_off
from mixlaw.report.sections.coverage import coverage
from mixlaw.report.sections.fits import the_law, who_helps
from mixlaw.report.sections.made import fitted, made, reported
from mixlaw.report.style import styled
from mixlaw.weights import weights_of
from mixlaw.wording import counted, in_words

Groups = Mapping[str, Mapping[str, float]]


def law_page(
    law: Law,
    path: Path,
    *,
    weights: Mapping[str, float] | None = None,
    optimum: Optimum | None = None,
    groups: Groups | None = None,
    files: Mapping[str, Path] | None = None,
) -> str:
    """One self-contained HTML page of a law.

    Args:
        law: read from `path`.
        path: of the file, for its hash and the commands.
        weights: importance of targets; the optimum's, or equal, by default.
        optimum: one found with this law, to be shown against its baselines.
        groups: of targets, for the front between them.
        files: flag -> file that weights, optimum and groups were read from, for their hashes and the command.

    Raises:
        Refused: for an optimum of other domains, unknown targets, or a front of a law that is not convex.
    """
    given = weights if weights is not None else optimum.weights if optimum is not None else None
    importance = weights_of(given, law.targets)
    with styled():
        named = {} if optimum is None else mixtures_named(optimum, law.domains)
        at = law.at() if optimum is None else law.for_choosing(optimum.predicted_params, optimum.predicted_tokens)
        sections = [] if optimum is None else [_chosen(at, optimum, path)]
        if groups:
            front = pareto(at, groups, limits_of(law, None, trust=False))
            sections.append(trade_off(at, front, groups, named, "without limits"))
        sections += [_mixtures(law, law.at(), importance, named), the_law(law), who_helps(law)]
        sections.append(_made(law, path, files or {}))
    return render(
        f"{path.name}: a law of {counted(len(law.domains), 'domain')}",
        _lead(law),
        sections,
        {**({} if optimum is None else in_short(optimum)), **_in_short(law)},
    )


def _chosen(at: LawAtScale, optimum: Optimum, path: Path) -> Section:
    """The optimum, and whether it was found with another law than the page is about."""
    section, rests_on = choice(at, optimum), optimum.origin.get("law_sha256")
    if rests_on in (None, sha256(path)):
        return section
    said = (
        f"This optimum was found with another law (sha256 {rests_on[:12]}...) than {path.name}: its losses and what "
        "holds it back are of that one; run mixlaw optimize again"
    )
    return replace(section, warnings=(said, *section.warnings))


def _lead(law: Law) -> list[str]:
    params, tokens = law.evidence.scale
    return [
        f"What {counted(law.evidence.runs, 'run')} in {Path(law.evidence.source).name} say about how the losses of "
        f"{counted(len(law.targets), 'target')} depend on the mixture of {counted(len(law.domains), 'domain')}; the "
        f"largest runs have {in_words(params)} parameters and {in_words(tokens)} tokens."
    ]


def _in_short(law: Law) -> Mapping[str, str]:
    errors = [target.cv_rmse for target in law.diagnostics.targets if target.cv_rmse is not None]
    ranks = [target.rank_correlation for target in law.diagnostics.targets if target.rank_correlation is not None]
    short = {"law": law.kind, "across scales": "one scale only" if law.scale == "none" else law.scale}
    if errors:
        short["error on mixtures held out, nats, mean of targets"] = f"{np.mean(errors):.4f}"
    if ranks:
        short["rank correlation held out, mean of targets"] = f"{np.mean(ranks):.3f}"
    return short


def _mixtures(law: Law, at: LawAtScale, weights: Array, named: Mapping[str, Array]) -> Section:
    return coverage(law.domains, at.proportions, named, at.losses @ weights, (at, weights))


def _made(law: Law, path: Path, files: Mapping[str, Path]) -> Section:
    facts = {"fitted by": f"mixlaw {law.version}", "run table": law.evidence.source}
    facts |= {"run table, sha256": law.evidence.sha256} if law.evidence.sha256 else {}
    on_file = bool(law.evidence.sha256)  # else no command has the run table
    fitting = [fitted(law.asked, law.fixed, law.evidence.source, path)] if on_file else []
    return made([path, *files.values()], facts, [*fitting, reported(path, files)])
