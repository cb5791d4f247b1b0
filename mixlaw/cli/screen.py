"""Where text for people goes."""

from rich.console import Console

IN_A_FILE = 160
"""Columns when output goes to a file or a pipe, whose width nobody knows: tables are then not squeezed."""


def screen() -> Console:
    """A console as wide as the terminal; names with brackets in them are printed as they are."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = IN_A_FILE
    return console
