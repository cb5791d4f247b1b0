"""The spread of a design, for people."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from mixlaw.design.spread import Spread, runs_needed
from mixlaw.wording import counted

SHOWN = 14
"""Domains listed; a hundred of them would not fit one screen."""


def spread_table(spread: Spread, more: Mapping[str, Sequence[str]] | None = None, *, shown: int = SHOWN) -> Table:
    """One line a domain: its smallest, median, 95th percentile and largest proportion, and how often it is left out.

    Args:
        spread: of a design or a run table.
        more: further columns by heading, one text a domain.
        shown: how many domains to list.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("domain", "smallest", "median", "95%", "largest", "absent", *(more or {})):
        table.add_column(heading, justify="left" if heading == "domain" else "right")
    for place, domain in enumerate(spread.domains[:shown]):
        numbers = (array[place] for array in (spread.smallest, spread.median, spread.high, spread.largest))
        added = (column[place] for column in (more or {}).values())
        table.add_row(domain, *(f"{number:.4f}" for number in numbers), f"{spread.absent[place]:.0%}", *added)
    if len(spread.domains) > shown:
        table.add_row(f"... {len(spread.domains) - shown} more")
    return table


def runs_advised(spread: Spread) -> str:
    """How many mixtures there are, and how many are advised for so many domains."""
    return f"{counted(spread.mixtures, 'different mixture')}; {runs_needed(len(spread.domains))}"
