"""The page: sections of words, tables and figures put into one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from mixlaw.report.style import svg


@dataclass(frozen=True)
class Drawing:
    """A figure as an `<svg>` element, with the caption that lets it stand alone."""

    svg: str
    caption: str

    @classmethod
    def of(cls, figure: Figure, caption: str) -> "Drawing":
        """Draw a matplotlib figure."""
        return cls(svg(figure), caption)


@dataclass(frozen=True)
class Table:
    """Rows of cells as they are shown; the row whose first cell is `chosen` is set in bold."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    chosen: str = ""


@dataclass(frozen=True)
class Section:
    """One heading and what stands under it, in the order of the attributes."""

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Drawing] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


def render(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The page as HTML: no script, no outside resource; everything from users is escaped."""
    loader = PackageLoader("mixlaw", "report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("page.html").render(title=title, lead=lead, sections=sections)
