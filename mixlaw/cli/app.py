"""The `mixlaw` command: its verbs, and what happens when one refuses."""

import sys
from typing import Annotated

import typer

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
    report,
    sample,
    train,
)
from mixlaw.errors import Refused
from mixlaw.version import __version__

VERBS = (
    demo,
    corpus,
    sample,
    train,
    import_,
    merge,
    check,
    fit,
    predict,
    compare,
    optimize,
    pareto,
    critical,
    export,
    report,
)
"""In the order of the pipeline, as the help lists them."""

TRAINING = ("torch", "safetensors", "tokenizers", "zstandard")
"""What the train extra installs and verbs import when they need it."""

app = typer.Typer(name="mixlaw", no_args_is_help=True, pretty_exceptions_enable=False)
for verb in VERBS:
    app.command(verb.NAME)(verb.run)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _mixlaw(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Find the data mixture to pretrain a language model on."""


def main() -> None:
    """Run the command line: exit code 0 done, 1 refused (one message on stderr), 2 misuse, 130 interrupted."""
    try:
        app()
    except Refused as error:
        verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        print(f"mixlaw {verb}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        if error.name not in TRAINING:
            raise
        print(f"mixlaw: {error.name} is not installed; training needs it: pip install 'mixlaw[train]'", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("mixlaw: interrupted; what was measured is kept", file=sys.stderr)
        raise SystemExit(130) from None
