"""Which mixtures were trained on, and what they leave untold."""

from collections.abc import Mapping

import numpy as np

from mixlaw.design.spread import Spread, runs_needed, spread
from mixlaw.fitting.law import LawAtScale
from mixlaw.mixture import Array
from mixlaw.report.figures.coverage import grid_of_triangle, mixtures_sampled, triangle
from mixlaw.report.page import Cell, Column, Drawing, Section, Table
from mixlaw.wording import counted

PLANAR = 3
"""Domains whose mixtures fill a triangle."""


def coverage(
    domains: tuple[str, ...],
    sampled: Array,
    named: Mapping[str, Array],
    losses: Array | None = None,
    law: tuple[LawAtScale, Array] | None = None,
) -> Section:
    """How the mixtures of the runs spread the domains.

    Args:
        domains: M names.
        sampled: (n, M), one row a run.
        named: mixtures to mark, (M,) each.
        losses: (n,) weighted losses of the runs, as colour of a triangle; NaN where not measured.
        law: at one scale, with the weights (V,) of its targets: its losses are the ground of a triangle.
    """
    found = spread(sampled, domains)
    repeats = f" and {counted(found.repeats, 'repeat')}" if found.repeats else ""
    figures = []
    if len(domains) == PLANAR:
        figures.append(_triangle(domains, sampled, named, losses, law))
    strips = mixtures_sampled(domains, sampled, named)
    figures.append(
        Drawing.of(strips, "Each grey tick is one mixture: how much of it comes from the domain of that row.")
    )
    rows: list[list[Cell]] = [
        [domain, *(float(values[place]) for values in (found.smallest, found.median, found.largest, found.absent))]
        for place, domain in enumerate(domains)
    ]
    columns = [Column("domain"), *(Column(name, ".1%") for name in ("smallest", "median", "largest"))]
    columns.append(Column("mixtures without it", ".0%"))
    return Section(
        title="Mixtures",
        paragraphs=[
            f"{counted(found.mixtures, 'different mixture')}{repeats} of {counted(len(domains), 'domain')}. "
            f"{_enough(found)}".rstrip()
        ],
        warnings=(*found.unvaried, *found.warnings),
        figures=figures,
        tables=[Table.of(columns, rows, "proportions over the mixtures")],
    )


def _enough(found: Spread) -> str:
    if found.mixtures >= found.advised:
        return f"That is enough for a law of so many domains ({found.advised} are advised)."
    rule = runs_needed(len(found.domains))
    return "" if any(rule in warning for warning in found.warnings) else f"As a rule, {rule}."


def _triangle(
    domains: tuple[str, ...],
    sampled: Array,
    named: Mapping[str, Array],
    losses: Array | None,
    law: tuple[LawAtScale, Array] | None,
) -> Drawing:
    field = None if law is None else law[0].law.predict(grid_of_triangle()) @ law[1]
    known = np.full(len(sampled), np.nan) if losses is None else losses
    figure = triangle(domains, sampled, known, named, field)
    ground = "" if law is None else " The ground is what the law predicts."
    return Drawing.of(
        figure,
        "Each point is one mixture; a corner is a domain alone, the side across from it none of it. Dark is a low "
        f"loss; hollow points have no loss at this scale.{ground}",
    )
