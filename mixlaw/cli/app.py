"""The `mixlaw` command: its verbs, and what happens when one refuses."""

import inspect
import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from mixlaw.cli import (
    check,
    compare,
    corpus,
    critical,
    demo,
    export,
    fit,
    import_,
    merge,
    optimize,
    pareto,
    predict,
    probe,
    report,
    sample,
    schedule,
    train,
)
from mixlaw.errors import Refused
from mixlaw.version import __version__

PANELS = {
    "Begin": (demo,),
    "From text to runs": (corpus, sample, train, probe),
    "From logs to runs": (import_, merge, check),
    "From runs to a mixture": (fit, predict, compare, optimize, pareto, critical, schedule),
    "Hand it on": (export, report),
}
"""The verbs in the order of the pipeline, as the help lists them."""

TRAINING = ("torch", "safetensors", "tokenizers", "zstandard")
"""What the train extra installs and verbs import when they need it."""

app = typer.Typer(name="mixlaw", pretty_exceptions_enable=False)
for panel, verbs in PANELS.items():
    for verb in verbs:
        app.command(verb.NAME, rich_help_panel=panel, help=escape(inspect.cleandoc(verb.run.__doc__)))(verb.run)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _mixlaw(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Find the data mixture to pretrain a language model on.

    text → corpus → sample → train → runs.csv → fit → law.json → optimize → optimum.json → export, train, report

    You have logged runs: mixlaw check runs.csv, or mixlaw import for the logs of other tools; then mixlaw fit runs.csv.

    You have text: mixlaw corpus corpus web=crawl.jsonl code=src/, then mixlaw sample and mixlaw train.

    You want to see all of it first: mixlaw demo.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def _unwritten(error: OSError) -> str:
    """What happened to a file, or to standard output, which Python would write to again at its end."""
    if error.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    where = "standard output" if error.filename is None else error.filename
    return f"{where} cannot be read or written: {error.strerror}; name another, or make room"


def main() -> None:
    """Run the command line: exit code 0 done, 1 refused (one message on stderr), 2 misuse, 130 interrupted."""
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except Refused as error:
        print(f"mixlaw {verb}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        print(f"mixlaw {verb}: {_unwritten(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        if error.name not in TRAINING:
            raise
        print(f"mixlaw: {error.name} is not installed; training needs it: pip install 'mixlaw[train]'", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("mixlaw: interrupted; what was measured is kept", file=sys.stderr)
        raise SystemExit(130) from None
