"""The page: sections of words, tables and figures put into one self-contained HTML file."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from mixlaw.report.style import drawn, fitting

Cell = str | float | None

ALONE = 1.2
"""How much larger than drawn a figure that stands alone may be shown."""

LEGIBLE = 0.85
"""And how much smaller: a phone shows most figures whole, and one with many columns is moved sideways to be read."""

POINTS = 72
"""In an inch."""

WIDE_PT = 400.0
"""Points from which on a figure needs the whole width of a printed page."""

TALL = 24
"""Rows of a table that are shown at once; a longer one opens when it is asked for, and in print if it is not broad."""

BROAD = 12
"""Columns that a printed page has room for."""

ROOM, PADDING = 15, 3
"""Digits of which a name in the first column of a table has room for the width on a line, if it is so long, and of
which letters that are wider and the space beside it take the width."""


@dataclass(frozen=True)
class Drawing:
    """Figures as `<svg>` elements with one caption for them all; panels stand side by side where there is room."""

    svgs: Sequence[str]
    caption: str
    panels: bool = False
    broad: bool = False

    @classmethod
    def of(cls, figures: Figure | Sequence[Figure], caption: str) -> "Drawing":
        """Draw matplotlib figures."""
        if isinstance(figures, Figure):
            broad = figures.get_figwidth() * POINTS > WIDE_PT
            return cls([fitting(drawn(figures), ALONE, LEGIBLE)], caption, broad=broad)
        return cls([fitting(drawn(figure)) for figure in figures], caption, panels=True)


class Column(NamedTuple):
    """A heading, and how the numbers under it are shown, such as ".4f"; text is shown as it is."""

    name: str
    how: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of values, formatted for people, and whole in the csv that can be copied.

    Attributes:
        columns: headings and formats; a heading may stand twice.
        rows: values in the order of the columns; None and NaN are shown as nothing.
        caption: what the table holds.
        chosen: the row whose first cell is this is set in bold.
        folded: whether it opens only when asked for, as a long one does anyway.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    chosen: str = ""
    folded: bool = False

    @property
    def tall(self) -> bool:
        """Whether it opens only when asked for."""
        return self.folded or len(self.rows) > TALL

    @property
    def broad(self) -> bool:
        """Whether a printed page has no room for it."""
        return len(self.columns) > BROAD

    @property
    def room(self) -> int:
        """Width of the first column at least, in digits."""
        return PADDING + min(ROOM, max((len(row[0]) for row in self.shown if row), default=0))

    @classmethod
    def of(
        cls,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Cell]],
        caption: str = "",
        chosen: str = "",
        folded: bool = False,
    ) -> "Table":
        """A table without the columns in which every cell is blank."""
        kept = [place for place in range(len(columns)) if any(not _is_blank(row[place]) for row in rows)]
        shown = [[row[place] for place in kept] for row in rows]
        return cls([columns[place] for place in kept], shown, caption, chosen, folded)

    @cached_property
    def shown(self) -> list[list[str]]:
        """The cells as people read them."""
        return [[_shown(cell, column.how) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]

    @cached_property
    def csv(self) -> str:
        """The table with every digit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows(["" if _is_blank(cell) else cell for cell in row] for row in self.rows)
        return text.getvalue()


def _is_blank(cell: Cell) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and not math.isfinite(cell))


def _shown(cell: Cell, how: str) -> str:
    if isinstance(cell, str):
        return cell
    return "" if cell is None or _is_blank(cell) else format(cell, how)


@dataclass(frozen=True)
class Section:
    """One heading and what stands under it, in the order of the attributes."""

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    warnings: Sequence[str] = ()
    figures: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


def render(
    title: str, lead: Sequence[str], sections: Sequence[Section], answers: Mapping[str, str] | None = None
) -> str:
    """The page as HTML: no script, no outside resource; everything from users is escaped.

    Args:
        title: of the page.
        lead: paragraphs under it.
        sections: in order; those after the first are listed above them.
        answers: what a reader in a hurry is to take away: label -> number or name.
    """
    loader = PackageLoader("mixlaw", "report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("page.html")
    return template.render(title=title, lead=lead, sections=said_once(sections), answers=answers or {})


def said_once(sections: Sequence[Section]) -> list[Section]:
    """The sections without points and warnings that an earlier one has: designs and laws judge the same runs."""
    said: set[str] = set()
    found = []
    for section in sections:
        points, warnings = (
            [text for text in texts if text not in said] for texts in (section.points, section.warnings)
        )
        said |= {*points, *warnings}
        found.append(replace(section, points=points, warnings=warnings))
    return found
