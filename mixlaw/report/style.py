"""How every figure looks: one palette that colour-blind readers can tell apart, text as text, no toolkit windows."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

INK, FAINT, GRID = "#1b1f24", "#9aa4af", "#e3e7eb"
OPTIMUM, NATURAL, UNIFORM, MEASURED = "#d55e00", "#0072b2", "#009e73", "#4b2161"
"""Three colours of Okabe & Ito (2008) and a dark purple, which any common colour vision can tell apart."""

NAMED = {"optimum": OPTIMUM, "natural": NATURAL, "uniform": UNIFORM, "best measured": MEASURED}
MARKERS = {"optimum": "D", "natural": "o", "uniform": "s", "best measured": "^"}
"""Each mixture has a shape too, for print without colour."""

CYCLE = (NATURAL, OPTIMUM, UNIFORM, "#cc79a7", "#56b4e9", "#e69f00", "#f0e442", INK)
"""Of Okabe & Ito, for series without a name of their own; line styles and hatches tell them apart as well."""

ON_ANY_GROUND = "#6e7781"
"""A grey that reads on white and on near-black, for figures that are shown on either."""

LONG = 22
"""Characters of a name that a figure has room for."""

WIDTH = 4.1
"""Inches of a figure that stands alone: little more than a phone's, so that its type is legible there."""

KEY_LETTERS = 36
"""Characters of names that one line of a key has room for in a figure of that width."""

PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g}%")

SETTINGS: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.h_pad": 0.03,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "xaxis.labellocation": "right",  # a label wider than its axes then has the room that the names of rows take
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 1.2,
    "legend.handletextpad": 0.3,
    "legend.columnspacing": 1.0,
    "legend.borderaxespad": 0.2,
    "svg.fonttype": "none",
    "svg.hashsalt": "mixlaw",
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style inside the block only, so that a caller's own settings stay as they are."""
    with matplotlib.rc_context(SETTINGS):
        yield


def drawn(figure: Figure) -> str:
    """The figure as an `<svg>` element with text as text: no header, no date, no element ids that a page has twice."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Whoever shows the page has the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
    text = re.sub(r'<g id="[a-zA-Z0-9]+_[0-9]+"', "<g", text)
    text = re.sub(r' (?:d|x|y)="[^"]*"', _rounded, text)
    return re.sub(r'<use [^>]* style="([^"]*)"/>(?:\s*<use [^>]* style="\1"/>)+', _styled_once, text)


def _rounded(attribute: "re.Match[str]") -> str:
    """A place in a figure to a hundredth of a point, which no eye can tell from more."""
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", attribute[0])


def _styled_once(markers: "re.Match[str]") -> str:
    """Markers of one look, which then stands on their group and not on each of thousands."""
    bare = re.sub(r">\s+<", "><", markers[0].replace(f' style="{markers[1]}"', ""))
    return f'<g style="{markers[1]}">{bare}</g>'


def fitting(svg: str, largest: float = 1.0, smallest: float = 0.0) -> str:
    """The same element made to shrink with what holds it, between so many times its own size."""

    def sized(found: "re.Match[str]") -> str:
        ends = {"min": smallest * float(found[2]), "max": largest * float(found[2])}
        return f'{found[1]} style="{"; ".join(f"{end}-width: {size:.1f}pt" for end, size in ends.items() if size)}"'

    return re.sub(r'(<svg[^>]*?) width="([0-9.]+)pt" height="[^"]*"', sized, svg, count=1)


def shortened(name: str, longest: int = LONG) -> str:
    """A name with its middle left out where a figure has no room for all of it."""
    if len(name) <= longest:
        return name
    head = (longest - 1) * 2 // 3
    return f"{name[:head]}…{name[head + 1 - longest :]}"


def columns_of_key(names: Sequence[str]) -> int:
    """Into how many columns a key of these names goes, at most four, above or below a figure of WIDTH."""
    longest = max((len(shortened(name)) for name in names), default=0)
    together = sum(len(shortened(name)) for name in names)
    return min(len(names), 4) if together <= KEY_LETTERS else max(1, min(3, KEY_LETTERS // (longest + 3)))


def pitch(rows: int) -> float:
    """Inches between rows of a figure: closer where there are many."""
    return 0.36 if rows <= 14 else 0.26 if rows <= 40 else 0.19


def small(rows: int) -> float:
    """Points of a row's label."""
    return 9.5 if rows <= 14 else 9 if rows <= 40 else 8
