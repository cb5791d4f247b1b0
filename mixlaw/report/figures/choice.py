"""The mixture that was chosen, what it is compared with, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mixlaw.mixture import Array
from mixlaw.report.figures.coverage import mark_mixtures, rows_of_domains
from mixlaw.report.style import (
    CYCLE,
    INK,
    MARKERS,
    NAMED,
    NATURAL,
    ON_ANY_GROUND,
    OPTIMUM,
    PERCENT,
    WIDTH,
    columns_of_key,
    pitch,
    shortened,
    small,
)
from mixlaw.wording import in_words

ON_A_PAGE = 5.6
"""Inches of a figure for a page that is not a phone's, and has no caption."""


@dataclass(frozen=True)
class Measured:
    """One mixture that was predicted and then trained: interval and the losses of its seeds, nats per token."""

    name: str
    predicted: float
    low: float
    high: float
    losses: tuple[float, ...]


def predicted_and_measured(mixtures: Sequence[Measured], ink: str = INK) -> Figure:
    """Full runs: the predicted loss with its interval, and the loss of every seed, mixture by mixture.

    Args:
        mixtures: in the order they are shown.
        ink: of text and measurements; `ON_ANY_GROUND` for a figure that may stand on light or dark.
    """
    figure = Figure(figsize=(WIDTH, 0.6 + 0.5 * len(mixtures)))
    axes = figure.subplots()
    for place, mixture in enumerate(mixtures):
        colour = NAMED.get(mixture.name, ink)
        axes.plot(
            [mixture.low, mixture.high], [place, place], color=colour, alpha=0.4, linewidth=9, solid_capstyle="butt"
        )
        axes.plot(mixture.predicted, place, "|", color=colour, markersize=17, markeredgewidth=2.5)
        axes.plot(
            mixture.losses, [place] * len(mixture.losses), "o", color=ink, markersize=6, markerfacecolor="none",
            markeredgewidth=1.6,
        )  # fmt: skip
    axes.set_yticks(range(len(mixtures)), [shortened(mixture.name) for mixture in mixtures])
    axes.set_ylim(len(mixtures) - 0.5, -0.5)
    axes.set_xlabel("weighted loss, nats per token")
    return figure


def on_any_ground(mixtures: Sequence[Measured]) -> Figure:
    """`predicted_and_measured` with a key of its own and colours that read on light and on dark."""
    figure = predicted_and_measured(mixtures, ON_ANY_GROUND)
    axes = figure.axes[0]
    axes.set_xlabel("weighted loss, nats per token\nbar: predicted, 90% interval; circle: measured, one a seed")
    figure.set_size_inches(ON_A_PAGE, figure.get_figheight() + 0.2)
    axes.grid(color=ON_ANY_GROUND, alpha=0.25)
    for part in (axes.xaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()):
        part.set_color(ON_ANY_GROUND)
    axes.tick_params(colors=ON_ANY_GROUND)
    axes.spines[:].set_color(ON_ANY_GROUND)
    return figure


def optimum_against_baselines(
    domains: Sequence[str],
    named: Mapping[str, Array],
    near_optimal: Mapping[str, tuple[float, float]],
    cap: Array | None = None,
) -> Figure:
    """The chosen proportion of each domain, the range that is nearly as good, its cap, and the baselines.

    Args:
        domains: M names.
        named: mixtures to show, (M,) each, the optimum among them.
        near_optimal: smallest and largest proportion of each domain among nearly optimal mixtures.
        cap: (M,) largest proportion allowed; None where it is not known.
    """
    figure, axes = rows_of_domains(domains, named)
    step = 27 * pitch(len(domains))
    for place, domain in enumerate(domains):
        if domain in near_optimal:
            axes.plot(
                near_optimal[domain], [place, place], color=OPTIMUM, alpha=0.3, linewidth=step, solid_capstyle="butt"
            )
        if cap is not None and cap[place] < 1:
            axes.plot([cap[place]] * 2, [place - 0.36, place + 0.36], color=INK, linewidth=1.6)
    mark_mixtures(figure, axes, named, size=7)
    axes.set_xlabel("proportion of training tokens")
    return figure


def front(names: tuple[str, str], losses: Array, compromise: int, marked: Mapping[str, tuple[float, float]]) -> Figure:
    """What one group of targets must lose for another to gain.

    Args:
        names: of the two groups.
        losses: (n, 2) of the points of the front, nats per token.
        compromise: which point is nearest to every group at its best.
        marked: losses of named mixtures.
    """
    figure = Figure(figsize=(WIDTH, 3.3))
    axes = figure.subplots()
    axes.plot(losses[:, 0], losses[:, 1], ".-", color=NATURAL, markersize=6, label="no mixture is better in both")
    axes.plot(*losses[compromise], "o", color=NATURAL, markersize=11, markerfacecolor="none", label="compromise")
    for name, (across, up) in marked.items():
        axes.plot(across, up, MARKERS.get(name, "*"), color=NAMED.get(name, INK), markersize=7,
                  markeredgecolor="white", label=shortened(name))  # fmt: skip
    axes.set_xlabel(f"loss of {shortened(names[0])}, nats per token")
    axes.set_ylabel(f"loss of {shortened(names[1])}")
    axes.legend(loc="best")
    return figure


def differences(names: Sequence[str], values: Array) -> Figure:
    """Differences from a run that is named elsewhere: a bar from zero each, nats per token."""
    figure = Figure(figsize=(WIDTH, 0.65 + pitch(len(names)) * len(names)))
    axes = figure.subplots()
    colours = [OPTIMUM if value > 0 else NATURAL for value in values]
    axes.barh(range(len(names)), values, height=0.55, color=colours, alpha=0.85)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(names)), [shortened(name) for name in names], fontsize=small(len(names)))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("difference in weighted loss, nats per token")
    return figure


def effective_samples(curves: Mapping[str, tuple[Array, Array]]) -> Figure:
    """How many even sequences a batch was worth, by run: tokens and effective sample sizes."""
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.subplots()
    for place, (run, (tokens, size)) in enumerate(curves.items()):
        style = ("-", "--", ":", "-.")[place // len(CYCLE) % 4]
        axes.plot(tokens, size, style, color=CYCLE[place % len(CYCLE)], label=shortened(run))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: in_words(value) if value > 0 else "0")
    axes.set_xlabel("training tokens")
    axes.set_ylabel("effective sequences")
    axes.legend()
    return figure


def over_tokens(domains: Sequence[str], tokens: Array, proportions: Array, shown: int = 7) -> Figure:
    """Proportions that moved during training, as layers that sum to 1; the smallest make one layer.

    Args:
        domains: M names.
        tokens: (n,) training tokens seen.
        proportions: (n, M).
        shown: domains that get a layer of their own.
    """
    order = np.argsort(-proportions.mean(axis=0), kind="stable")
    kept = np.sort(order if len(order) <= shown + 1 else order[:shown])  # of all runs alike, so that colours agree
    layers = [proportions[:, place] for place in kept]
    labels = [shortened(domains[place]) for place in kept]
    if len(kept) < len(order):
        layers.append(proportions[:, order[shown:]].sum(axis=1))
        labels.append(f"{len(order) - shown} more")
    return _layers(labels, tokens, layers)


def _layers(labels: Sequence[str], tokens: Array, layers: Sequence[Array]) -> Figure:
    columns = columns_of_key(labels)
    figure = Figure(figsize=(WIDTH, 2.5 + 0.2 * -(-len(labels) // columns)))
    axes = figure.subplots()
    hatches = ["", "//", r"\\", "xx"]
    stacks = axes.stackplot(tokens, *layers, labels=labels, edgecolor="white", linewidth=0.8,
                            colors=[CYCLE[place % len(CYCLE)] for place in range(len(layers))], alpha=0.85)  # fmt: skip
    for place, stack in enumerate(stacks):
        stack.set_hatch(hatches[(place // 2) % len(hatches)])
    axes.set_xlim(float(tokens.min()), float(tokens.max()) if np.ptp(tokens) else float(tokens.min()) + 1)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.xaxis.set_major_formatter(lambda value, _: in_words(value) if value > 0 else "0")
    axes.set_xlabel("training tokens")
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside lower left", ncols=columns)
    return figure
