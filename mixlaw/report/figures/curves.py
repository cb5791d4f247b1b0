"""What was measured: losses against tokens, and where runs ended."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from mixlaw.mixture import Array
from mixlaw.report.style import FAINT, NAMED, NATURAL, OPTIMUM, WIDTH, pitch, shortened, small
from mixlaw.wording import in_words


@dataclass(frozen=True)
class Curve:
    """One training curve: tokens, losses and the size it belongs to; `name` is set for curves to highlight."""

    params: float
    tokens: Array
    losses: Array
    name: str = ""


def loss_curves(curves: Sequence[Curve]) -> list[Figure]:
    """Loss against tokens, one figure a model size, all on the same axes, which end at `ceiling`."""
    tokens = np.concatenate([curve.tokens for curve in curves])
    low, high = float(min(curve.losses.min() for curve in curves)), ceiling(curves)
    margin = 0.05 * (high - low or 1)
    figures = []
    for size in sorted({curve.params for curve in curves}):
        same = [curve for curve in curves if curve.params == size]
        figure = _panel(same, (float(tokens.min()), float(tokens.max())))
        figure.axes[0].set_ylim(low - margin, high + margin)
        figures.append(figure)
    return figures


def ceiling(curves: Sequence[Curve]) -> float:
    """The loss at which axes end, so that a few runs far above the others do not squeeze them all into a line.

    Three times the range between the quartiles above the upper one: far beyond what a box plot calls outlying.
    """
    losses = np.concatenate([curve.losses for curve in curves])
    lower, upper = np.quantile(losses, (0.25, 0.75))
    return float(min(losses.max(), upper + 3 * (upper - lower)))


def _panel(curves: Sequence[Curve], reach: tuple[float, float]) -> Figure:
    figure = Figure(figsize=(2.3, 2.4))
    axes = figure.subplots()
    labelled: set[str] = set()
    strength = float(np.clip(8 / np.sqrt(len(curves)), 0.2, 0.75))
    for curve in sorted(curves, key=lambda curve: (bool(curve.name), curve.name)):
        label = curve.name if curve.name and curve.name not in labelled else None
        labelled.add(curve.name)
        width, dot, alpha = (1.8, 5, 1.0) if curve.name else (0.8, 3, strength)
        axes.plot(
            curve.tokens, curve.losses, ".-", color=NAMED.get(curve.name, FAINT), label=label, linewidth=width,
            markersize=dot, alpha=alpha,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(reach[0] / 1.15, reach[1] * 1.15)
    axes.set_xticks(sorted({*reach, float(np.sqrt(reach[0] * reach[1]))}) if reach[0] < reach[1] else [reach[0]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(value)))
    axes.set_title(f"{in_words(curves[0].params)} parameters")
    axes.set_xlabel("tokens")
    if labelled - {""}:
        axes.legend(frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def final_losses(targets: Sequence[str], losses: Array) -> Figure:
    """Where runs ended: a row a target, a tick a run, the least marked.

    Args:
        targets: V names.
        losses: (n, V) of each run at one size and token count, nats per token; NaN = not measured.
    """
    figure = Figure(figsize=(WIDTH, 0.65 + pitch(len(targets)) * len(targets)))
    axes = figure.subplots()
    for place in range(len(targets)):
        known = losses[np.isfinite(losses[:, place]), place]
        strength = float(np.clip(9 / np.sqrt(len(known) or 1), 0.2, 0.9))
        axes.plot(
            known, np.full(len(known), place), "|", color=NATURAL, alpha=strength,
            markersize=30 * pitch(len(targets)),
        )  # fmt: skip
        if len(known):
            axes.plot(known.min(), place, "D", color=OPTIMUM, markersize=5, markeredgecolor="white")
    axes.set_yticks(range(len(targets)), [shortened(target) for target in targets], fontsize=small(len(targets)))
    axes.set_ylim(len(targets) - 0.4, -0.6)
    axes.set_xlabel("loss of each run, nats per token")
    return figure
