"""`mixlaw probe`: what the final phase of a run owes to each of its domains."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mixlaw.cli.progress import shown
from mixlaw.cli.screen import screen
from mixlaw.plan import read_plan
from mixlaw.study_files import PROBE

NAME = "probe"


def run(
    plan: Annotated[Path, typer.Argument(help=escape("Plan with one [[stages]]."), show_default=False)],
    mixture: Annotated[
        Path | None, typer.Option(help="The mixture before it; the plan's start by default.", show_default=False)
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Domain to leave out; repeatable. Each of the final mixture.", show_default=False),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Of a run; repeatable. As many as the plan says.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs at a time; one a core, or one a GPU.", min=1, show_default=False)
    ] = None,
) -> None:
    """Train a run's final phase again with one domain left out, beside two controls; all share one base run.

    Example: mixlaw probe study/late.toml --remove code
    """
    from mixlaw.launch.companions import leading
    from mixlaw.launch.probe import probe
    from mixlaw.launch.roster import given, mixture_called

    with leading() as leads:
        if not leads:
            return
        read, console = read_plan(plan), screen()
        base = mixture_called(read, read.start, "start") if mixture is None else given(read, mixture)
        seeds = tuple(seed or range(read.target.seeds))
        with shown(console) as watching:
            found = probe(read, base, seeds, watching, removed=tuple(remove or ()), workers=workers)
        table = Table(box=None, pad_edge=False, header_style="dim", title="nats per token", title_justify="left")
        for column in found.columns:
            table.add_column(column, justify="left" if column == "way" else "right")
        for row in found.itertuples(index=False):
            table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row))
        console.print(table)
        console.print("difference: weighted loss above that of the run that switched; what a removed domain brought")
        console.print(f"Next: open {read.folder / PROBE}, or mixlaw report {read.folder}")
