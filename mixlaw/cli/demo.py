"""`mixlaw demo`: the whole study on text that is already on this machine."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli import corpus, report
from mixlaw.cli.progress import shown
from mixlaw.cli.screen import screen
from mixlaw.errors import Refused
from mixlaw.files import read_text, write_text
from mixlaw.outcome import Outcome, seed_noise, verdicts
from mixlaw.study import Study
from mixlaw.study_files import PLAN

NAME = "demo"
CORPUS = "corpus"
MEGABYTES = 2.0
"""Of each domain: more than the plan has available, and half a minute less of reading and tokenising."""

VOCABULARY = 1024
"""Small, since for models this small the vocabulary is most of the cost."""


def run(
    folder: Annotated[Path, typer.Argument(help="Where the study is written; it goes on where it was.")] = Path("demo"),
    workers: Annotated[
        int | None,
        typer.Option(help="Runs trained at a time; one a core, or one a GPU, by default.", show_default=False),
    ] = None,
) -> None:
    """Find a better mixture of the text installed here, train it, and hold the result against the prediction.

    Example: mixlaw demo demo
    """
    from mixlaw.conduct import conduct

    console = screen()
    plan = files("mixlaw").joinpath("demo.toml").read_text(encoding="utf-8")
    if not (folder / PLAN).is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise Refused(f"{folder} is not empty and holds no {PLAN}; name a new folder")
        write_text(folder / PLAN, plan)
    elif read_text(folder / PLAN) != plan:
        raise Refused(f"{folder / PLAN} is not the plan of the demo; name a new folder, or run it with mixlaw train")
    if not (folder / CORPUS).is_dir():
        corpus.run(folder / CORPUS, builtin=True, vocabulary=VOCABULARY, megabytes=MEGABYTES)
    with shown(console) as watching:
        study = conduct(folder, watching, workers)
    report.run(folder)
    _tell(console, study)


def _tell(console: Console, study: Study) -> None:
    found = study.outcomes
    noise, _ = seed_noise(found)
    console.print(_losses(found))
    console.print(f"noise of one run between seeds: {noise:.4f} nats")
    for verdict in verdicts(found):
        console.print(verdict)
    console.print(f"Next: open {study.folder / report.PAGE}, then change {study.folder / PLAN} or bring your own text")


def _losses(found: tuple[Outcome, ...]) -> Table:
    table = Table(
        box=None, pad_edge=False, header_style="dim", title="weighted loss, nats per token", title_justify="left"
    )
    for name in ("mixture", "predicted", "90% interval", "measured", "by seed"):
        table.add_column(name, justify="left" if name == "mixture" else "right")
    show: Callable[[float], str] = "{:.4f}".format
    for outcome in found:
        interval = f"{show(outcome.low)} to {show(outcome.high)}"
        table.add_row(
            outcome.name, show(outcome.predicted), interval, show(outcome.mean), ", ".join(map(show, outcome.measured))
        )
    return table
