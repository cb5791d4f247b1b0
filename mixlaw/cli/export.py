"""`mixlaw export`: a mixture as the data section of a training job."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.counts import METAVAR, count
from mixlaw.cli.screen import screen
from mixlaw.errors import Refused
from mixlaw.export import EXPORTERS, exporter_called
from mixlaw.export.base import files
from mixlaw.export.paths import read_paths
from mixlaw.export.prepare import prepare
from mixlaw.export.sidecar import NAME as SIDECAR
from mixlaw.export.sidecar import origin, sidecar, sizes_behind
from mixlaw.export.sizes import read_sizes
from mixlaw.files import write_json, write_text
from mixlaw.mixture import read_mixture

NAME = "export"


def _print_formats(asked: bool) -> None:
    if not asked:
        return
    table = Table("format", "its numbers count", "what is written", box=None, pad_edge=False)
    for exporter in EXPORTERS.values():
        table.add_row(exporter.name, " or ".join(exporter.units), exporter.description)
    screen().print(table)
    raise typer.Exit


def run(
    mixture: Annotated[Path, typer.Argument(help="Optimum or mixture: .json.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            help=f"Format: {', '.join(EXPORTERS)}.",
            show_default=False,
            metavar="FORMAT",
            autocompletion=lambda: list(EXPORTERS),
        ),
    ],
    paths: Annotated[
        Path | None, typer.Option(help='Where each domain\'s data lies: TOML, domain = "path".', show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=f"File to write, with {SIDECAR} beside it.", show_default=False),
    ] = None,
    available: Annotated[
        Path | None,
        typer.Option(help="Tokens and documents by domain: JSON, or a corpus folder.", show_default=False),
    ] = None,
    tokens: Annotated[
        float | None,
        typer.Option(
            parser=count, metavar=METAVAR, help="Tokens to be trained on; by default the optimum's.", show_default=False
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            help="What the trainer's numbers count: sequences of one length, or documents.", show_default=False
        ),
    ] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(help="A later mixture, STEP=FILE, for trainers with stages; repeatable.", show_default=False),
    ] = None,
    formats: Annotated[
        bool, typer.Option("--formats", callback=_print_formats, is_eager=True, help="List them, with their units.")
    ] = False,
) -> None:
    """Write a mixture as the data section of a training job, in that trainer's own unit.

    Example: mixlaw export optimum.json --to megatron --paths paths.toml -o blend.txt
    """
    exporter = exporter_called(to)
    if tokens is not None and not tokens > 0:
        raise Refused(f"--tokens is {tokens:g}; it must be positive")
    mixtures = {0: mixture, **_stages(stage or [])}
    stages = {step: read_mixture(file) for step, file in mixtures.items()}
    origins = {step: origin(file) for step, file in mixtures.items()}
    budget = tokens if tokens is not None else _tokens(origins[0])
    prepared = prepare(
        exporter,
        stages,
        places=None if paths is None else read_paths(paths),
        sizes=sizes_behind(origins[0], stages[0]) if available is None else read_sizes(available),
        budget_tokens=budget,
        unit=unit,
    )
    if output is None and exporter.file_per_stage and len(stages) > 1:
        raise Refused(f"{exporter.name} takes each stage from a file of its own; name the first with -o")
    texts = files(exporter, prepared.request, str(output or exporter.filename))
    console = Console(stderr=output is None, highlight=False, markup=False, soft_wrap=True)
    if output is None:
        print(*texts.values(), sep="", end="")
    else:
        for name, text in texts.items():
            write_text(name, text)
        write_json(output.parent / SIDECAR, sidecar(exporter, prepared, stages, origins, budget))
        console.print(f"{', '.join(texts)}: {exporter.description}; {SIDECAR} beside it says what the numbers are")
    for note in (*_about_certificate(origins[0]), *prepared.notes):
        console.print(f"note: {note}")
    console.print(f"Next: {exporter.usage.replace('FILE', str(output or exporter.filename))}")


def _stages(given: list[str]) -> dict[int, Path]:
    stages: dict[int, Path] = {}
    for text in given:
        step, equals, file = text.partition("=")
        if not (equals and file and step.isdecimal() and int(step) > 0):
            raise Refused(
                f"--stage {text} is not STEP=FILE with a step of at least 1; write, say, --stage 9000=later.json"
            )
        if int(step) in stages:
            raise Refused(f"--stage {int(step)} is given twice; keep one")
        stages[int(step)] = Path(file)
    return stages


def _tokens(first: dict[str, Any]) -> float | None:
    tokens = first.get("tokens")
    return float(tokens) if isinstance(tokens, int | float) else None


def _about_certificate(first: dict[str, Any]) -> list[str]:
    return ["the optimum is not certified: see its gap and warnings"] if first.get("certified") is False else []
