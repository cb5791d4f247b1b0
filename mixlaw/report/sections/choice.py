"""The mixture that was chosen: against what, how firmly, and at whose cost."""

from collections.abc import Mapping

import numpy as np

from mixlaw.fitting.law import LawAtScale
from mixlaw.mixture import Array
from mixlaw.optimize.optimum import Optimum
from mixlaw.optimize.pareto import Front
from mixlaw.report.figures.choice import front, optimum_against_baselines
from mixlaw.report.page import Cell, Column, Drawing, Section, Table
from mixlaw.weights import weights_of
from mixlaw.wording import counted, in_words


def mixtures_named(optimum: Optimum, domains: tuple[str, ...]) -> dict[str, Array]:
    """The optimum and its baselines, (M,) each."""
    named = {"optimum": optimum.mixture.aligned(domains)}
    return named | {name: baseline.mixture.aligned(domains) for name, baseline in optimum.baselines.items()}


def in_short(optimum: Optimum) -> dict[str, str]:
    """The chosen mixture and its predicted loss, for a reader in a hurry."""
    shares = sorted(optimum.mixture.as_dict().items(), key=lambda pair: -pair[1])
    what = "largest loss" if optimum.objective == "worst" else "loss"
    return {
        "best mixture begins with": ", ".join(f"{domain} {share:.0%}" for domain, share in shares[:3]),
        f"its {what} predicted at {in_words(optimum.predicted_params)} parameters, {optimum.interval:.0%} interval": (
            f"{optimum.loss:.3f} ({optimum.low:.3f} to {optimum.high:.3f})"
        ),
    }


def choice(at: LawAtScale, optimum: Optimum, cap: Array | None = None) -> Section:
    """The chosen mixture, its proof, what holds it back, and what each target gains or loses by it.

    Args:
        at: the law at the scale the optimum was found for.
        optimum: as `mixlaw optimize` wrote it.
        cap: (M,) largest proportion allowed, where it is known.
    """
    domains = at.law.domains
    named = mixtures_named(optimum, domains)
    if optimum.certified and optimum.gap is not None:
        proof = (
            f"No allowed mixture has a predicted loss lower by more than {max(optimum.gap, 0.0):.1e} nats: a "
            "certificate computed apart from the solver says so."
        )
    else:
        proof = "That no allowed mixture is better is NOT proved."
    what = "Largest loss" if optimum.objective == "worst" else "Weighted loss"
    paragraphs = [
        f"{what} {optimum.loss:.4f} nats predicted at {in_words(optimum.predicted_params)} parameters and "
        f"{in_words(optimum.predicted_tokens)} tokens, {optimum.interval:.0%} interval {optimum.low:.4f} to "
        f"{optimum.high:.4f}. {proof}"
    ]
    band = ""
    if optimum.near_optimal:
        paragraphs.append(
            f"A mixture need not be hit exactly: within the shaded ranges, one domain at a time, the predicted loss is "
            f"at most {optimum.slack:g} nats above the best."
        )
        band = " Shaded: nearly as good."
    limit = " Black line: the most that the limits allow." if cap is not None and (cap < 1).any() else ""
    figure = optimum_against_baselines(domains, named, optimum.near_optimal, cap)
    return Section(
        title="The chosen mixture",
        paragraphs=paragraphs,
        points=[active.said for active in optimum.active],
        warnings=optimum.warnings,
        figures=[Drawing.of(figure, f"The chosen proportion of every domain, and the baselines.{band}{limit}")],
        tables=[_baselines(optimum), _proportions(domains, named, optimum), _by_target(at, named, optimum)],
    )


def _baselines(optimum: Optimum) -> Table:
    columns = [Column("mixture"), Column("predicted loss", ".4f"), Column("above the optimum", "+.4f")]
    columns += [Column("P(optimum better)", ".2f"), Column("")]
    rows: list[list[Cell]] = [["optimum", optimum.loss, None, None, ""]]
    for name, baseline in optimum.baselines.items():
        outside = "" if baseline.allowed else "outside the limits"
        rows.append([name, baseline.loss, baseline.loss - optimum.loss, baseline.probability_better, outside])
    return Table.of(columns, rows, chosen="optimum", caption="predicted, nats per token")


def _proportions(domains: tuple[str, ...], named: Mapping[str, Array], optimum: Optimum) -> Table:
    columns = [Column("domain"), *(Column(name, ".2%") for name in named)]
    columns += [Column("nearly as good from", ".1%"), Column("to", ".1%")] if optimum.near_optimal else []
    columns += [Column("epochs", ".2f")] if optimum.epochs else []
    rows: list[list[Cell]] = []
    for place in np.argsort(-named["optimum"], kind="stable").tolist():
        domain = domains[place]
        row: list[Cell] = [domain, *(float(proportions[place]) for proportions in named.values())]
        row += [*optimum.near_optimal.get(domain, (None, None))] if optimum.near_optimal else []
        row += [optimum.epochs.get(domain)] if optimum.epochs else []
        rows.append(row)
    return Table.of(columns, rows, caption="proportions")


def _by_target(at: LawAtScale, named: Mapping[str, Array], optimum: Optimum) -> Table:
    losses = at.law.predict(np.array(list(named.values())))
    columns = [Column("target"), Column("weight", ".0%"), *(Column(name, ".4f") for name in named)]
    rows: list[list[Cell]] = [
        [target, optimum.weights.get(target, 0.0), *map(float, losses[:, place])]
        for place, target in enumerate(at.law.targets)
    ]
    return Table.of(columns, rows, caption="predicted loss of each target")


def trade_off(
    at: LawAtScale, found: Front, groups: Mapping[str, Mapping[str, float]], named: Mapping[str, Array], under: str
) -> Section:
    """What one group of targets must lose for another to gain.

    Args:
        at: the law at the scale of the front.
        found: the front.
        groups: name -> weights of its targets.
        named: mixtures to mark, (M,) each.
        under: what the mixtures are limited by, in words.
    """
    importance = np.array([weights_of(groups[group], at.law.targets) for group in found.groups])
    marked = {name: importance @ at.law.predict(mixture[None])[0] for name, mixture in named.items()}
    losses = np.array([point.losses for point in found.points])
    figures = []
    if len(found.groups) == 2:
        names = (found.groups[0], found.groups[1])
        places = {name: (float(pair[0]), float(pair[1])) for name, pair in marked.items()}
        figures = [
            Drawing.of(
                front(names, losses, found.compromise, places),
                "Each point is the best mixture for some weighing of the two groups; no other lies below the line.",
            )
        ]
    table = found.table()
    columns = [Column(name, _how(name)) for name in table.columns]
    rows: list[list[Cell]] = [list(map(float, row)) for row in table.to_numpy(dtype=float).tolist()]
    listed = ", ".join(f"{group} ({', '.join(members)})" for group, members in groups.items())
    return Section(
        title="What one group must lose for another to gain",
        paragraphs=[
            f"{counted(len(found.points), 'mixture')} that no other beats in every group, {under}, at "
            f"{in_words(at.params)} parameters and {in_words(at.tokens)} tokens: {listed}."
        ],
        figures=figures,
        tables=[Table.of(columns, rows, caption="the front", folded=True)],
    )


def _how(column: str) -> str:
    if column == "point":
        return ".0f"
    return ".0e" if column == "gap" else ".4f" if column.startswith("loss.") else ".3f"
