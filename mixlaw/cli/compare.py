"""`mixlaw compare`: how sure it is that one mixture beats another."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.counts import METAVAR, count
from mixlaw.cli.screen import screen
from mixlaw.files import to_json
from mixlaw.fitting.compare import Comparison, compare
from mixlaw.fitting.law_file import read_law
from mixlaw.mixture import read_mixture
from mixlaw.weights import read_weights
from mixlaw.wording import in_shell, in_words

NAME = "compare"

CLEAR = 0.95
"""A probability from which a difference is called clear."""


def run(
    law: Annotated[Path, typer.Argument(help="Law, from mixlaw fit: .json.", show_default=False)],
    first: Annotated[Path, typer.Argument(metavar="A", help="Mixture or optimum: .json.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help="Mixture or optimum: .json.", show_default=False)],
    params: Annotated[
        float | None,
        typer.Option(
            parser=count, metavar=METAVAR, help="Model size; by default the largest measured.", show_default=False
        ),
    ] = None,
    tokens: Annotated[
        float | None,
        typer.Option(
            parser=count, metavar=METAVAR, help="Training tokens; by default the most measured.", show_default=False
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Importance of targets: .json; equal by default.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Give the probability that a run on mixture A ends below a run on mixture B.

    Example: mixlaw compare law.json optimum.json natural.json
    """
    fitted = read_law(law)
    found = compare(
        fitted,
        read_mixture(first, fitted.domains),
        read_mixture(second, fitted.domains),
        params=params,
        tokens=tokens,
        weights=read_weights(weights, fitted.targets),
    )
    if json:
        print(to_json(found.as_json()), end="")
        return
    console = screen()
    console.print(f"A is {first}, B is {second}")
    _describe(console, found)
    for warning in found.warnings:
        console.print(f"warning: {warning}")
    better = first if found.total.probability >= 0.5 else second
    if better.suffix == ".json" and max(found.total.probability, 1 - found.total.probability) >= CLEAR:
        console.print(f"Next: mixlaw export {in_shell(better)} --to FORMAT")
    else:
        console.print("Next: measure both with repeats, or mixlaw sample for more runs near them")


def _describe(console: Console, found: Comparison) -> None:
    console.print(f"at {in_words(found.params)} params and {in_words(found.tokens)} tokens, nats per token")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("target", "loss A", "loss B", "B - A", "P(A beats B)"):
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for row in (*found.targets, found.total):
        gain = row.second - row.first
        table.add_row(row.target, f"{row.first:.4f}", f"{row.second:.4f}", f"{gain:+.4f}", f"{row.probability:.3f}")
    console.print(table)
