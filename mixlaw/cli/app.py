"""The `mixlaw` command: its verbs, and what happens when one refuses."""

import sys

import typer

from mixlaw.cli import check
from mixlaw.errors import Refused

app = typer.Typer(
    name="mixlaw",
    help="Find the data mixture to pretrain a language model on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for verb in (check,):
    app.command(verb.NAME)(verb.run)


def main() -> None:
    """Run the command line: exit code 0 done, 1 refused (one message on stderr), 2 misuse, 130 interrupted."""
    try:
        app()
    except Refused as error:
        verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        print(f"mixlaw {verb}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("mixlaw: interrupted; what was measured is kept", file=sys.stderr)
        raise SystemExit(130) from None
