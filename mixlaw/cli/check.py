"""`mixlaw check`: what is in a run table, and what is wrong with it."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.screen import screen
from mixlaw.cli.spread_table import SHOWN, runs_advised, spread_table
from mixlaw.errors import Refused
from mixlaw.files import sha256, to_json
from mixlaw.runs import check_runs, read_table
from mixlaw.survey import Survey, survey
from mixlaw.wording import counted, in_words

NAME = "check"


def run(
    runs: Annotated[Path, typer.Argument(help="Run table: .csv, .parquet or .jsonl.", show_default=False)],
    renormalise: Annotated[bool, typer.Option(help="Divide proportions by their sum, whatever it is.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Tell what is in a run table and what is wrong with it.

    Example: mixlaw check runs.csv
    """
    frame = read_table(runs)
    try:
        table = check_runs(frame, source=str(runs), digest=sha256(runs), renormalise=renormalise)
    except Refused:
        if not json:
            _describe_columns(screen(), runs, frame)
        raise
    found = survey(table)
    if json:
        print(to_json(found.as_json()), end="")
        return
    console = screen()
    _describe(console, found)
    for problem in found.problems:
        console.print(f"problem: {problem}")
    for note in (*found.design.warnings, *found.notes):
        console.print(f"note: {note}")
    if found.problems:
        console.print(f"Next: mend {counted(len(found.problems), 'problem')}, then check again.")
    else:
        console.print(f"Next: mixlaw fit {runs} -o law.json")


def _describe_columns(console: Console, runs: Path, frame: pd.DataFrame) -> None:
    """What is in a file that is no run table, for the message that says why."""
    console.print(f"{runs}: {counted(len(frame), 'row')}, {counted(len(frame.columns), 'column')}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("column", "filled", "smallest", "largest"):
        table.add_column(name, justify="left" if name == "column" else "right")
    for place, column in enumerate(frame.columns[:SHOWN]):
        values = frame.iloc[:, place].dropna()
        numeric = pd.api.types.is_numeric_dtype(values) and len(values) > 0
        ends = [f"{values.min():g}", f"{values.max():g}"] if numeric else []
        table.add_row(str(column), str(len(values)), *ends)
    if len(frame.columns) > SHOWN:
        table.add_row(f"... {len(frame.columns) - SHOWN} more")
    console.print(table)


def _describe(console: Console, found: Survey) -> None:
    mixtures = f"{counted(found.mixtures, 'mixture')} of {counted(len(found.design.domains), 'domain')}"
    repeats = f", {counted(found.repeats, 'repeat')}" if found.repeats else ", no repeats"
    console.print(
        f"{found.source}: {counted(found.runs, 'run')}, {counted(found.rows, 'row')}, {mixtures}{repeats}, "
        f"{counted(len(found.targets), 'target')}",
        soft_wrap=True,
    )
    for scale in found.scales:
        tokens = in_words(scale.first_tokens), in_words(scale.last_tokens)
        reach = tokens[0] if tokens[0] == tokens[1] else " to ".join(tokens)
        console.print(
            f"  {in_words(scale.params)} params: {counted(scale.runs, 'run')}, {scale.rows} rows at {reach} tokens"
        )
    console.print(spread_table(found.design))
    console.print(runs_advised(found.design))
    console.print(_targets(found))


def _targets(found: Survey) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    repeated = any(target.noise is not None for target in found.targets)
    for name in ("target", "measured", "lowest", "highest", *(["noise of repeats"] if repeated else [])):
        table.add_column(name, justify="left" if name == "target" else "right")
    for target in found.targets[:SHOWN]:
        noise = [] if target.noise is None else [f"{target.noise:.4f}"]
        table.add_row(target.target, str(target.measured), f"{target.lowest:.4f}", f"{target.highest:.4f}", *noise)
    if len(found.targets) > SHOWN:
        table.add_row(f"... {len(found.targets) - SHOWN} more (--json)")
    return table
