"""`mixlaw predict`: losses of mixtures, with intervals."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.counts import METAVAR, count
from mixlaw.cli.outputs import check_output
from mixlaw.cli.screen import screen
from mixlaw.files import replacing, to_json
from mixlaw.fitting.law_file import read_law
from mixlaw.mixture import read_mixtures
from mixlaw.runs import TOTAL
from mixlaw.weights import read_weights
from mixlaw.wording import counted, in_shell, in_words

NAME = "predict"

SHOWN = 20
"""Mixtures listed, and targets beside the total: what a screen holds."""
BESIDE = 4


def run(
    law: Annotated[Path, typer.Argument(help="Law, from mixlaw fit: .json.", show_default=False)],
    mixtures: Annotated[
        Path, typer.Option(help="Mixtures: .csv, one row each, one column a domain.", show_default=False)
    ],
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
    interval: Annotated[float, typer.Option(help="How often an interval is to hold the loss measured.")] = 0.9,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Predictions to write: .csv.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Predict losses of mixtures, with intervals for what a run would measure.

    Example: mixlaw predict law.json --mixtures candidates.csv --params 1e9 --tokens 100e9 -o predictions.csv
    """
    check_output(output, ".csv", "a table of predictions")
    fitted = read_law(law)
    found = fitted.predict(
        read_mixtures(mixtures, fitted.domains),
        params=params,
        tokens=tokens,
        weights=read_weights(weights, fitted.targets),
        interval=interval,
    )
    if output is not None:
        with replacing(output) as temporary:
            found.to_csv(temporary, index=False, lineterminator="\n")
    if json:
        content = {"predictions": found.to_dict("records"), "warnings": list(found.attrs["warnings"])}
        print(to_json(content), end="")
        return
    console = screen()
    _describe(console, found, interval)
    for warning in found.attrs["warnings"]:
        console.print(f"warning: {warning}")
    if output is not None:
        console.print(f"{output}: {counted(len(found), 'row')}")
    console.print(f"Next: mixlaw compare {in_shell(law)} A.json B.json, or mixlaw optimize {in_shell(law)}")


def _describe(console: Console, found: pd.DataFrame, interval: float) -> None:
    params, tokens = found["params"].iloc[0], found["tokens"].iloc[0]
    console.print(
        f"at {in_words(params)} params and {in_words(tokens)} tokens, nats per token, {interval:.0%} intervals"
    )
    targets = [target for target in found["target"].unique() if target != TOTAL]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("mixture", "weighted", "from", "to", *targets[:BESIDE]):
        table.add_column(heading, justify="left" if heading == "mixture" else "right")
    for name, rows in list(found.groupby("mixture", sort=False))[:SHOWN]:
        by_target = rows.set_index("target")
        total = by_target.loc[TOTAL]
        beside = (f"{by_target.loc[target, 'loss']:.4f}" for target in targets[:BESIDE])
        table.add_row(str(name), f"{total['loss']:.4f}", f"{total['low']:.4f}", f"{total['high']:.4f}", *beside)
    console.print(table)
    mixtures = found["mixture"].nunique()
    if mixtures > SHOWN or len(targets) > BESIDE:
        console.print(f"{counted(mixtures, 'mixture')} and {counted(len(targets), 'target')} in all: -o FILE has them")
