"""How every figure looks: one palette that colour-blind readers can tell apart, text as text, no toolkit windows."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT, GRID = "#1b1f24", "#9aa4af", "#e3e7eb"
OPTIMUM, NATURAL, UNIFORM, MEASURED = "#d55e00", "#0072b2", "#009e73", "#7a3e9d"
"""Colours of Okabe & Ito (2008), which readers with any common colour vision can tell apart."""

NAMED = {"optimum": OPTIMUM, "natural": NATURAL, "uniform": UNIFORM, "best measured": MEASURED}
MARKERS = {"optimum": "D", "natural": "o", "uniform": "s", "best measured": "^"}

SETTINGS: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "mixlaw",
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style inside the block only, so that a caller's own settings stay as they are."""
    with matplotlib.rc_context(SETTINGS):
        yield


def svg(figure: Figure) -> str:
    """The figure as an `<svg>` element: no header, no date; it shrinks with its container but does not outgrow it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r'(<svg[^>]*?) width="([0-9.]+)pt" height="[^"]*"', r'\1 style="max-width: \2pt"', text, count=1)


def span(axes: Axes, low: float, high: float) -> None:
    """Draw the line of perfect agreement over a range, with a margin, and make both axes equal."""
    margin = 0.06 * (high - low or 1)
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=FAINT, linewidth=1, zorder=1)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
