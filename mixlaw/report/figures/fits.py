"""How well a law does, what it leaves, and which domain it says helps which target."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mixlaw.mixture import Array
from mixlaw.report.style import FAINT, INK, NATURAL, OPTIMUM, WIDTH, pitch, shortened, small

STRONGEST = 0.95
"""Quantile of the sizes in a matrix at which colours end."""

NAME_PT = 8
"""Points of the name of a run."""

LETTER = 0.08
"""Inches of a letter of a label, about."""

OUT = 1.0
"""Residuals beyond this many half-widths of the interval are outside it."""


def against_measured(target: str, predicted: Array, half: Array, measured: Array, held_out: bool) -> Figure:
    """Predicted against measured losses of one target, with intervals; outside ones are marked.

    Args:
        target: its name.
        predicted: (n,) nats per token.
        half: (n,) half-widths of the intervals.
        measured: (n,).
        held_out: whether each prediction comes from a fit that did not see its mixture: filled points, else hollow.
    """
    figure = Figure(figsize=(2.15, 2.25))
    axes = figure.subplots()
    outside = np.abs(measured - predicted) > OUT * half
    strength = float(np.clip(10 / np.sqrt(len(measured)), 0.35, 0.85))
    for which, colour, shape in ((~outside, NATURAL, "o"), (outside, OPTIMUM, "D")):
        # One broken line for all intervals: an element each would make the page ten times as large.
        ends = np.column_stack([predicted[which] - half[which], predicted[which] + half[which], half[which] * np.nan])
        level = np.repeat(measured[which], 3)
        axes.plot(ends.ravel(), level, color=colour, linewidth=0.7, alpha=strength / 2)
        axes.plot(
            predicted[which], measured[which], shape, color=colour, markersize=3.6, alpha=strength,
            markerfacecolor=colour if held_out else "white",
        )  # fmt: skip
    _square(axes, np.concatenate([predicted, measured]))
    error = float(np.sqrt(np.mean((predicted - measured) ** 2)))
    axes.set_title(f"{shortened(target, 20)}\nerror {error:.4f}", fontsize=9.5)
    axes.tick_params(labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    return figure


def _square(axes: Axes, values: Array) -> None:
    """The line of perfect agreement, and both axes equal."""
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low or 1)
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=FAINT, linewidth=1, zorder=1)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")


def residuals(targets: Sequence[str], left: Array, half: Array, runs: Sequence[str]) -> Figure:
    """What the law leaves of each run: a row a target on its mean interval, the farthest run outside named.

    Args:
        targets: V names.
        left: (n, V) measured less predicted, nats per token; NaN = not measured.
        half: (n, V) half-widths of the intervals.
        runs: n names.
    """
    figure = Figure(figsize=(WIDTH, 0.65 + pitch(len(targets)) * len(targets)))
    axes = figure.subplots()
    below, above = "", ""
    for place in range(len(targets)):
        known = np.flatnonzero(np.isfinite(left[:, place]))
        if not len(known):
            continue
        middle = float(np.mean(half[known, place]))
        axes.plot([-middle, middle], [place, place], color=NATURAL, alpha=0.22, linewidth=9, solid_capstyle="butt")
        out = np.abs(left[known, place]) > half[known, place]
        for which, colour in ((known[~out], NATURAL), (known[out], OPTIMUM)):
            axes.plot(left[which, place], np.full(len(which), place), "|", color=colour, markersize=9, alpha=0.8)
        if out.any():
            far = known[out][int(np.argmax(np.abs(left[known[out], place])))]
            name, value = shortened(runs[far], 14), float(left[far, place])
            _name(axes, name, value, place)
            below, above = (max(below, name, key=len), above) if value < 0 else (below, max(above, name, key=len))
    axes.set_yticks(range(len(targets)), [shortened(target) for target in targets], fontsize=small(len(targets)))
    _make_room(figure, axes, below, above)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
    axes.set_ylim(len(targets) - 0.4, -0.6)
    axes.set_xlabel("measured less predicted, nats per token")
    return figure


def _name(axes: Axes, name: str, value: float, place: int) -> None:
    """A name on the side of a tick that is away from zero."""
    side, gap = ("right", -4) if value < 0 else ("left", 4)
    written = axes.annotate(
        name, (value, place), xytext=(gap, 0), textcoords="offset points", ha=side, va="center",
        fontsize=NAME_PT, color=INK, bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
    )  # fmt: skip
    written.set_in_layout(False)  # it lies within the axes, once these have been widened for it


def _make_room(figure: Figure, axes: Axes, below: str, above: str) -> None:
    """Widen the axis by what the longest names at its ends take."""
    figure.draw_without_rendering()  # else the axes do not have their place yet
    low, high = axes.get_xlim()
    across = 72 * figure.get_figwidth() * axes.get_position().width
    shares = [(4 + 0.64 * NAME_PT * len(name)) / across if name else 0.0 for name in (below, above)]
    whole = (high - low) / (1 - sum(shares))
    axes.set_xlim(low - shares[0] * whole, high + shares[1] * whole)


def matrix(
    domains: Sequence[str], targets: Sequence[str], values: Array, sure: Array, decimals: int, label: str
) -> Figure:
    """Domains by targets, blue where the value is negative; values that noise could give are set in pale type.

    Args:
        domains: M names, in rows, since there are often more of them and a page scrolls down.
        targets: V names.
        values: (M, V).
        sure: (M, V) whether the sign is told by the runs.
        decimals: of the numbers in the cells.
        label: of the colours.
    """
    many = len(targets) > 30
    rows, columns = [shortened(domain) for domain in domains], [shortened(target, 18) for target in targets]
    step = 0.2 if many else 0.48
    across = step * len(columns)
    slanted = LETTER * np.array([1 + len(name) for name in columns])
    beyond = max(0.0, float((step * (np.arange(len(columns)) + 0.5) + 0.9 * slanted).max()) - across)
    width = LETTER * max(map(len, rows)) + max(across + beyond, 1.6)
    height = 0.6 + 0.65 * float(slanted.max()) + max(pitch(len(domains)) * 0.85, 0.17) * len(domains)
    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    # A few large effects, a domain's own most of all, are not to leave the others without colour.
    limit = float(np.nanquantile(np.abs(values), STRONGEST)) or 1.0
    image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(targets)), columns, rotation=40, ha="left", rotation_mode="anchor",
                    fontsize=7.5 if many else 9.5)  # fmt: skip
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(domains)), rows, fontsize=small(len(domains)))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if not many:
        for row, column in np.ndindex(values.shape):
            _cell(axes, row, column, float(values[row, column]), bool(sure[row, column]), limit, decimals)
    ends: Literal["both", "neither"] = "both" if np.nanmax(np.abs(values)) > limit else "neither"
    figure.colorbar(
        image, ax=axes, label=label, location="bottom", shrink=0.8, aspect=30, extend=ends,
        pad=0.05 / figure.get_figheight(),
    )  # fmt: skip
    return figure


def _cell(axes: Axes, row: int, column: int, value: float, sure: bool, limit: float, decimals: int) -> None:
    if not np.isfinite(value):
        return
    strong = abs(value) > 0.6 * limit
    colour = ("white" if strong else INK) if sure else ("#dfe5ec" if strong else "#6e7781")
    weight = "bold" if sure else "normal"
    axes.text(
        column, row, f"{value:+.{decimals}f}", ha="center", va="center", color=colour, fontsize=8, fontweight=weight
    )
