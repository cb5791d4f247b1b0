"""`mixlaw merge`: run tables of studies whose domains differ, as one."""

from pathlib import Path
from typing import Annotated

import typer

from mixlaw.cli.screen import screen
from mixlaw.errors import Refused
from mixlaw.merge import joined, read_columns, without_domain
from mixlaw.runs import read_runs, write_runs
from mixlaw.wording import counted, in_shell

NAME = "merge"


def run(
    runs: Annotated[list[Path], typer.Argument(help="Run tables: .csv, .parquet or .jsonl.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run table to write.", show_default=False)],
    columns: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help='What domains have become: .json, {"old": "new"} or {"old": {"new": share}}.',
            show_default=False,
        ),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Domain that is no more: keep only runs without it.", show_default=False)
    ] = None,
) -> None:
    """Make one run table of several studies, though domains were split, merged, renamed or added between them.

    A run that several tables have, such as a log and the same log grown longer, is taken once with all its checkpoints.

    Example: mixlaw merge old.csv new.csv --map columns.json -o runs.csv
    """
    if len(runs) < 2 and columns is None and not drop:
        raise Refused("there is one run table and nothing to change in it; give another, --map or --drop")
    found = joined([read_runs(path) for path in runs], None if columns is None else read_columns(columns))
    for domain in drop or []:
        found = without_domain(found, domain)
    write_runs(found, output)
    console = screen()
    for note in found.notes:
        console.print(f"note: {note}")
    file = in_shell(output)
    console.print(
        f"{output}: {counted(found.frame['run'].nunique(), 'run')}, {counted(len(found.domains), 'domain')}, "
        f"{counted(len(found.targets), 'target')}\nNext: mixlaw check {file}, then mixlaw fit {file}"
    )
