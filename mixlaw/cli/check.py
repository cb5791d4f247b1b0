"""`mixlaw check`: what is in a run table, and what is wrong with it."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.screen import screen
from mixlaw.cli.spread_table import SHOWN, runs_advised, spread_table
from mixlaw.errors import Refused
from mixlaw.files import sha256, to_json
from mixlaw.loss_points import LossPoints, are_loss_points, loss_points
from mixlaw.run_files import read_table
from mixlaw.runs import check_runs
from mixlaw.survey import Survey, survey
from mixlaw.wording import counted, in_shell, in_words

NAME = "check"


def run(
    runs: Annotated[Path, typer.Argument(help="Run table: .csv, .parquet or .jsonl.", show_default=False)],
    renormalise: Annotated[bool, typer.Option(help="Divide proportions by their sum, whatever it is.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Tell what is in a run table and what is wrong with it; exit code 1 if no law can be fitted to it.

    Example: mixlaw check runs.csv
    """
    frame = read_table(runs)
    if are_loss_points(frame):
        _show_points(loss_points(frame, str(runs)), json)
        return
    try:
        table = check_runs(frame, source=str(runs), digest=sha256(runs), renormalise=renormalise)
    except Refused:
        if not json:
            _describe_columns(screen(), runs, frame)
        raise
    found = survey(table)
    if json:
        print(to_json(found.as_json()), end="")
    else:
        _show(screen(), found)
    if found.problems:
        more = len(found.problems) - 1
        raise Refused(found.problems[0] + (f" (and {counted(more, 'more problem')}: see above)" if more else ""))


def _show(console: Console, found: Survey) -> None:
    _describe(console, found)
    for problem in found.problems[:SHOWN]:
        console.print(f"problem: {problem}")
    if len(found.problems) > SHOWN:
        console.print(f"... {counted(len(found.problems) - SHOWN, 'more problem')} (--json)")
    about_design = found.design.warnings if found.mixtures > 1 else ()  # of one mixture a problem has said enough
    for note in dict.fromkeys((*about_design, *found.notes)):
        console.print(f"note: {note}")
    if found.problems:
        console.print(f"Next: mend {counted(len(found.problems), 'problem')}, then check again")
    else:
        console.print(f"Next: mixlaw fit {in_shell(found.source)} -o law.json")


def _show_points(found: LossPoints, json: bool) -> None:
    """Losses without mixtures are read, and said to be that."""
    if json:
        print(to_json(found.as_json()), end="")
        return
    console = screen()
    derived = "" if found.tokens_from == "tokens" else f", taken as {found.tokens_from} / (6 params)"
    console.print(f"{found.source}: {counted(len(found.params), 'loss point')} without run names or mixtures")
    console.print(f"  {in_words(found.params.min())} to {in_words(found.params.max())} params")
    console.print(f"  {in_words(found.tokens.min())} to {in_words(found.tokens.max())} tokens{derived}")
    for name, losses in found.losses.items():
        known = losses[~np.isnan(losses)]
        ends = f" from {known.min():.4f} to {known.max():.4f} nats per token" if len(known) else ""
        console.print(f"  {name}: {len(known)} measured{ends}")
    console.print("no mixtures: mixlaw fit needs columns run, mix.<domain> and loss.<target>")
    console.print(
        "Next: mixlaw.surfaces.chinchilla.fit_published(params, tokens, losses) fits E + A/N^α + B/D^β to such points"
    )


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
        counts = f"{counted(scale.runs, 'run')}, {counted(scale.rows, 'row')}"
        console.print(f"  {in_words(scale.params)} params: {counts} at {reach} tokens")
    console.print(spread_table(found.design))
    if found.design.mixtures >= found.design.least:  # where they are few a note says so
        console.print(runs_advised(found.design))
    console.print(_targets(found))


def _targets(found: Survey) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    repeated = any(target.noise is not None for target in found.targets)
    for name in (
        "target",
        "rows",
        "lowest at the end",
        "highest at the end",
        *(["noise of repeats"] if repeated else []),
    ):
        table.add_column(name, justify="left" if name == "target" else "right")
    for target in found.targets[:SHOWN]:
        noise = [] if target.noise is None else [f"{target.noise:.4f}"]
        ends = ["" if loss is None else f"{loss:.4f}" for loss in (target.lowest, target.highest)]
        table.add_row(target.target, str(target.measured), *ends, *noise)
    if len(found.targets) > SHOWN:
        table.add_row(f"... {len(found.targets) - SHOWN} more (--json)")
    return table
