"""`mixlaw fit`: a law from a run table."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.outputs import check_output
from mixlaw.cli.screen import screen
from mixlaw.files import to_json
from mixlaw.fitting.asked import AUTO
from mixlaw.fitting.diagnose import ALARM, Diagnostics, TargetDiagnostics
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import write_law
from mixlaw.laws import LAWS
from mixlaw.runs import read_runs
from mixlaw.surfaces import SURFACES
from mixlaw.wording import counted, in_shell, in_words

NAME = "fit"

SHOWN, EACH = 24, 2
"""Targets listed, and notes under the table, in all and of one target; the rest is in the law file."""


def run(
    runs: Annotated[Path, typer.Argument(help="Run table: .csv, .parquet or .jsonl.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Law to write: .json.")] = Path("law.json"),
    law: Annotated[str, typer.Option(help=f"auto, {', '.join(LAWS)}.", autocompletion=lambda: [AUTO, *LAWS])] = AUTO,
    scale: Annotated[
        str,
        typer.Option(
            help=f"auto, {', '.join(SURFACES)}: how to cross sizes and tokens.",
            autocompletion=lambda: [AUTO, *SURFACES],
        ),
    ] = AUTO,
    target: Annotated[
        list[str] | None, typer.Option(help="Loss to fit; repeatable. All by default.", show_default=False)
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option(help="Domain of one proportion in all runs, to be kept there; repeatable.", show_default=False),
    ] = None,
    renormalise: Annotated[bool, typer.Option(help="Divide proportions by their sum, whatever it is.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the diagnostics as JSON for programs.")] = False,
) -> None:
    """Fit a law to measured runs, and say what it can be trusted with.

    Example: mixlaw fit runs.csv -o law.json
    """
    check_output(output, ".json", "a law")
    found = fit(read_runs(runs, renormalise=renormalise), law, scale, target, fixed or ())
    write_law(found, output)
    if json:
        print(to_json(asdict(found.diagnostics)), end="")
        return
    console = screen()
    _describe(console, found)
    console.print(f"{output}: written\nNext: mixlaw optimize {in_shell(output)}")


def _describe(console: Console, law: Law) -> None:
    params, tokens = law.evidence.scale
    across = "" if law.scale == "none" else f", carried across scales by '{law.scale}'"
    console.print(
        f"{law.evidence.source}: {counted(law.evidence.runs, 'run')} of {counted(law.diagnostics.mixtures, 'mixture')},"
        f" {counted(len(law.domains), 'domain')}, {counted(len(law.targets), 'target')}\n"
        f"{law.kind} law at {in_words(params)} params and {in_words(tokens)} tokens{across}",
    )
    if law.diagnostics.candidates:
        console.print("\ncandidates, by cross-validation over mixtures; 1 - R² of held-out losses, mean of targets")
        console.print(_candidates(law))
    if law.diagnostics.scales:
        console.print("\nways across scales, by predicting runs of so many times the params and tokens; nats per token")
        console.print(_scales(law))
    console.print(
        "\ntargets: error on held-out mixtures, noise of a run about the law, half of the mean interval; nats per token"
    )
    console.print(_targets(law.diagnostics))
    for note in _notes(law.diagnostics):
        console.print(f"note: {note}")


def _candidates(law: Law) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    for heading in ("candidate", "parameters", "convex", "1 - R²", "behind the best", ""):
        table.add_column(heading, justify="left" if heading in ("candidate", "") else "right")
    for candidate in law.diagnostics.candidates:
        if candidate.score is None or candidate.behind is None:
            table.add_row(candidate.kind, str(candidate.parameters), "", "", "", f"refused: {candidate.refused}")
            continue
        behind = f"{candidate.behind:.4f} ± {candidate.doubt:.4f}" if candidate.behind else "best"
        chosen = "chosen" if candidate.kind == law.kind else ""
        convex = "yes" if candidate.convex else "no"
        table.add_row(candidate.kind, str(candidate.parameters), convex, f"{candidate.score:.4f}", behind, chosen)
    return table


def _scales(law: Law) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("scale", "params x", "tokens x", "error", "bias", ""):
        table.add_column(heading, justify="left" if heading in ("scale", "") else "right")
    for candidate in law.diagnostics.scales:
        cells = [_number(candidate.params_ratio, 2), _number(candidate.tokens_ratio, 2)]
        cells += [_number(candidate.rmse), "" if candidate.bias is None else f"{candidate.bias:+.4f}"]
        said = ["chosen"] if candidate.scale == law.scale else []
        said += ["no backtest: too few sizes or checkpoints"] if candidate.rmse is None else []
        table.add_row(
            candidate.scale, *cells, f"refused: {candidate.refused}" if candidate.refused else ", ".join(said)
        )
    return table


def _targets(diagnostics: Diagnostics) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    headings = ["target", "runs", "held-out", "R²", "rank", "noise", "90% ±"]
    repeats = any(target.repeats_noise is not None for target in diagnostics.targets)
    headings += ["repeats"] if repeats else []
    for heading in (*headings, ""):
        table.add_column(heading, justify="left" if heading in ("target", "") else "right")
    for target in diagnostics.targets[:SHOWN]:
        cells = [target.target, str(target.runs), _number(target.cv_rmse), _number(target.r2, 3)]
        cells += [_number(target.rank_correlation, 3), _number(target.noise), f"{target.half_width:.4f}"]
        cells += [_number(target.repeats_noise)] if repeats else []
        table.add_row(*cells, _mark(target))
    if len(diagnostics.targets) > SHOWN:
        table.add_row(f"... {len(diagnostics.targets) - SHOWN} more")
    return table


def _mark(target: TargetDiagnostics) -> str:
    if target.stretch is not None and target.stretch > ALARM:
        return "too narrow"
    return counted(len(target.notes), "note") if target.notes else ""


def _notes(diagnostics: Diagnostics) -> list[str]:
    """Those on the whole fit, then the first of each target's: a target with much to say does not hide the others."""
    found = list(diagnostics.notes)
    for target in diagnostics.targets:
        more = len(target.notes) - EACH
        found += [f"{target.target}: {note}" for note in target.notes[:EACH]]
        found += [f"{target.target}: {counted(more, 'more note')} in the law file"] if more > 0 else []
    return found[:SHOWN] + ([f"{len(found) - SHOWN} more in the law file"] if len(found) > SHOWN else [])


def _number(value: float | None, decimals: int = 4) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
