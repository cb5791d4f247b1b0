"""`mixlaw import`: logs of other tools as a run table."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixlaw.cli.counts import METAVAR, count
from mixlaw.errors import Refused, one_of
from mixlaw.files import read_json
from mixlaw.importers import IMPORTERS, importer_of, read_log
from mixlaw.importers.assemble import PERHAPS, assemble, likely_flags, unsaid
from mixlaw.importers.base import Log, LoggedRun, Reading
from mixlaw.importers.choices import Choices, Roles, choose_runs, parse_where, roles_of
from mixlaw.importers.columns import Rule, parse_rule
from mixlaw.importers.given import read_given
from mixlaw.importers.lists import parse_lists, with_lists
from mixlaw.importers.names import parse_pattern
from mixlaw.importers.units import LossUnit
from mixlaw.runs import LOSS, MIX, write_runs
from mixlaw.wording import counted

NAME = "import"
SHOWN = 24
"""Names listed of each kind; a log may have thousands."""


def run(
    sources: Annotated[
        list[str], typer.Argument(help="Files or folders, or wandb://entity/project.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Run table to write.", show_default=False)
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Say what is found and what it would become; write nothing.")
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            "--from",
            help=f"Kind of log, if it cannot tell: {', '.join(IMPORTERS)}.",
            show_default=False,
            autocompletion=lambda: list(IMPORTERS),
        ),
    ] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="COLUMN=NAME in the log; one * on both sides; repeatable.", show_default=False, metavar="RULE"
        ),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Mixtures the log lacks: .csv, one row a run.", show_default=False)
    ] = None,
    run_pattern: Annotated[
        str | None,
        typer.Option(help="What runs' names say: '{params}-web{mix.web}-code{mix.code}'.", show_default=False),
    ] = None,
    params: Annotated[
        float | None,
        typer.Option(
            parser=count, metavar=METAVAR, help="Non-embedding parameters, where not logged.", show_default=False
        ),
    ] = None,
    tokens: Annotated[
        float | None,
        typer.Option(
            parser=count, metavar=METAVAR, help="Training tokens of every run, where not logged.", show_default=False
        ),
    ] = None,
    tokens_per_step: Annotated[
        float | None,
        typer.Option(parser=count, metavar=METAVAR, help="Turns logged steps into tokens.", show_default=False),
    ] = None,
    last_tokens: Annotated[
        bool, typer.Option("--last-tokens", help="Give losses logged without tokens those last logged before them.")
    ] = False,
    unit: Annotated[str, typer.Option(help=f"Unit of the losses: {', '.join(LossUnit)}.")] = LossUnit.NATS,
    bytes_per_token: Annotated[
        str | None,
        typer.Option(
            help="Of the validation text, for bits-per-byte: a number, or JSON by target.", show_default=False
        ),
    ] = None,
    long: Annotated[
        str | None,
        typer.Option(help="A long table: NAMES=VALUES, its columns of names and values.", show_default=False),
    ] = None,
    lists: Annotated[
        list[str] | None,
        typer.Option(
            help="A mixture logged as two lists: NAMES=VALUES, then 'mix.*=VALUES.*'; repeatable.", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Runs to take: a name, * for any text; repeatable.", show_default=False)
    ] = None,
    excluded: Annotated[
        list[str] | None,
        typer.Option("--except", help="Runs to leave out: a name, * for any text; repeatable.", show_default=False),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE that runs to take have logged (a group, an experiment); repeatable.", show_default=False
        ),
    ] = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Take crashed and running runs too.")] = False,
    renormalise: Annotated[
        bool, typer.Option("--renormalise", help="Divide proportions by their sum, whatever it is.")
    ] = False,
) -> None:
    """Turn logs of other tools into a run table; what the log does not say is asked for, never guessed.

    Example: mixlaw import log.csv --show --map 'loss.*=eval/*_loss' --tokens-per-step 524288 --params 1e8

    Example: mixlaw import wandb/ --runs mixtures.csv --map 'loss.*=eval/*_loss' --tokens-per-step 524288 -o runs.csv
    """
    if output is None and not show:
        raise Refused("no file to write; name one with -o, or look first with --show")
    said = tuple(parse_rule(text) for text in rules or [])
    choices = Choices(
        rules=said,
        given={} if runs is None else read_given(runs, renormalise=renormalise),
        pattern=None if run_pattern is None else parse_pattern(run_pattern),
        params=params,
        tokens=tokens,
        tokens_per_step=tokens_per_step,
        unit=LossUnit(one_of(unit, list(LossUnit), "unit of losses")),
        bytes_per_token=_bytes_per_token(bytes_per_token),
        only=tuple(only or ()),
        excluded=tuple(excluded or ()),
        where=tuple(parse_where(text) for text in where or ()),
        last_tokens=last_tokens,
        unfinished=unfinished,
        renormalise=renormalise,
    )
    places = tuple(sources)
    log = read_log(places, kind, Reading(_run_column(said), _long(long)))
    for pair in lists or []:
        log = with_lists(log, *parse_lists(pair))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if show:
        console.print(f"{log.source}: {importer_of(places, kind).description}")
        _show(console, log, choices, roles_of(log, choices))
        return
    assert output is not None
    try:
        table = assemble(log, choices)
    except Refused as error:
        unsaid_too = unsaid(log, roles_of(log, choices), choices).items()
        more = [what for what, remedy in unsaid_too if remedy.split(PERHAPS)[0] not in str(error)]
        raise Refused("; missing too, see --show: ".join([str(error), *[", ".join(more)] * bool(more)])) from None
    write_runs(table, output)
    count = table.frame["run"].nunique()
    console.print(
        f"{output}: {counted(count, 'run')}, {counted(len(table), 'row')}, {counted(len(table.domains), 'domain')}, "
        f"{counted(len(table.targets), 'target')}"
    )
    for note in table.notes:
        console.print(f"note: {note}")
    console.print(f"Next: mixlaw check {output}")


def _show(console: Console, log: Log, choices: Choices, roles: Roles) -> None:
    taken, notes = choose_runs(log, choices)
    points = sum(len(run.points) for run in taken)
    console.print(f"  {counted(len(taken), 'run')} of {len(log.runs)}, {counted(points, 'point')}: {_some(taken)}")
    for title, wanted in (
        ("proportions", (MIX,)),
        ("losses", (LOSS,)),
        ("epochs and bits per byte", ("epochs.", "bpb.")),
    ):
        found = {column: name for column, name in roles.columns.items() if column.startswith(wanted)}
        if found or title != "epochs and bits per byte":
            console.print(f"  {title}: {_pairs(found) or 'none in the log'}")
    singles = {column: name for column, name in roles.columns.items() if "." not in column}
    console.print(f"  other columns: {_pairs(singles) or 'none in the log'}")
    console.print(f"  not used: {_names(roles.unused) or 'nothing'}")
    try:
        table = assemble(log, choices)
    except Refused as error:
        for note in (*log.notes, *notes):
            console.print(f"note: {note}")
        console.print(f"missing: {error}")
        for what, remedy in unsaid(log, roles, choices).items():
            if remedy not in str(error):
                console.print(f"missing too: {what}; {remedy}")
        flags = likely_flags(log, roles, choices)
        if flags:
            console.print(f"Next: if the names mean what they seem to, the same command with {' '.join(flags)}")
        return
    for note in table.notes:
        console.print(f"note: {note}")
    console.print(f"Next: the same command with -o runs.parquet writes {counted(len(table), 'row')}")


def _some(runs: tuple[LoggedRun, ...]) -> str:
    return _names(tuple(run.name for run in runs))


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _pairs(columns: dict[str, str]) -> str:
    return _names(tuple(f"{column} = {name}" if column != name else column for column, name in columns.items()))


def _run_column(rules: tuple[Rule, ...]) -> str:
    return next((rule.name for rule in rules if rule.column == "run"), "run")


def _long(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    names, equals, values = text.partition("=")
    if not (names and equals and values):
        raise Refused(f"--long {text} is not NAMES=VALUES; write, say, --long metric=value")
    return names, values


def _bytes_per_token(text: str | None) -> float | dict[str, float]:
    if text is None:
        return 1.0
    try:
        return float(text)
    except ValueError:
        content = read_json(text)
    if not (isinstance(content, dict) and all(isinstance(value, int | float) for value in content.values())):
        raise Refused(f'{text} holds no bytes per token; write {{"target": 4.2, ...}}')
    return {target: float(value) for target, value in content.items()}
