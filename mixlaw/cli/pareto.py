"""`mixlaw pareto`: the front between groups of targets."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mixlaw.cli.limit_flags import (
    AtMost,
    Available,
    Cap,
    Floor,
    Law,
    Limit,
    MaxEpochs,
    Params,
    Tokens,
    Trust,
    limits_from,
)
from mixlaw.cli.outputs import check_output
from mixlaw.cli.pairs import pairs
from mixlaw.cli.screen import screen
from mixlaw.files import to_json
from mixlaw.fitting.law_file import read_law
from mixlaw.optimize.pareto import POINTS, Front, pareto, read_groups, write_front
from mixlaw.optimize.question import at_most_of, limits_of
from mixlaw.wording import counted, in_words, is_are

NAME = "pareto"

SHOWN = 8
"""Domains listed beside the losses of a point."""


def run(
    law: Law,
    groups: Annotated[
        Path, typer.Option(help=escape('Groups of targets: .json, {"code": ["github"], ...}.'), show_default=False)
    ],
    params: Params = None,
    tokens: Tokens = None,
    cap: Cap = None,
    floor: Floor = None,
    limit: Limit = None,
    available: Available = None,
    max_epochs: MaxEpochs = None,
    at_most: AtMost = None,
    trust: Trust = False,
    points: Annotated[int, typer.Option(help="Most points of the front.")] = POINTS,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Front to write: .csv.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Find the front between groups of targets: what one must lose for another to gain.

    Example: mixlaw pareto law.json --groups groups.json --cap code=0.4 -o front.csv
    """
    check_output(output, ".csv", "a front")
    fitted = read_law(law)
    limits = limits_of(fitted, limits_from(fitted.domains, cap, floor, limit, available, tokens, max_epochs), trust)
    at = fitted.for_choosing(params, tokens)
    found = pareto(
        at,
        read_groups(groups, fitted.targets),
        limits,
        at_most=at_most_of(fitted, pairs(at_most, "--at-most")),
        points=points,
    )
    if output is not None:
        write_front(found, output)
    beyond = at.extrapolations({f"point {number}": point.mixture for number, point in enumerate(found.points, 1)})
    warnings = (*at.warnings, *beyond)
    if json:
        content = {
            "points": found.table().to_dict("records"),
            "compromise": found.compromise + 1,
            "unknown": found.unknown,
            "params": at.params,
            "tokens": at.tokens,
            "warnings": warnings,
        }
        print(to_json(content), end="")
        return
    console = screen()
    _show(console, found)
    console.print(f"at {in_words(at.params)} params, {in_words(at.tokens)} tokens")
    for warning in warnings:
        console.print(f"warning: {warning}")
    if len(found.groups) == 2:
        console.print(f"mixlaw report {law} --groups {groups} draws the front that there is without limits")
    shares = ", ".join(
        f"{name} {weight:.3f}"
        for name, weight in zip(found.groups, found.points[found.compromise].weights, strict=True)
    )
    console.print(
        f"Next: choose a point, and give its weights ({shares}, shared out over the targets of each group) to "
        f"mixlaw optimize {law} --weights W.json",
    )


def _show(console: Console, front: Front) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    mean = {
        domain: sum(point.mixture.as_dict()[domain] for point in front.points)
        for domain in front.points[0].mixture.domains
    }
    domains = sorted(mean, key=lambda domain: -mean[domain])[:SHOWN]
    for heading in ("point", *(f"loss of {group}" for group in front.groups), "gap", *domains):
        table.add_column(heading, justify="right")
    for number, point in enumerate(front.points):
        shares = point.mixture.as_dict()
        table.add_row(
            f"{number + 1}{' *' if number == front.compromise else ''}",
            *(f"{loss:.4f}" for loss in point.losses),
            f"{point.gap:.0e}",
            *(f"{shares[domain]:.3f}" for domain in domains),
        )
    console.print(table)
    console.print("* nearest to every group at its best, each scaled by its range on the front")
    if len(mean) > len(domains):
        more = len(mean) - len(domains)
        console.print(f"{counted(more, 'more domain')} {is_are(more)} in the csv (-o)")
    if front.unknown is not None:
        console.print(
            f"between the points no allowed mixture lies below the straight line by over {front.unknown:.1e} nats",
        )
