"""The figures of a report: each takes plain numbers and returns a matplotlib figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mixlaw.mixture import Array
from mixlaw.report.style import FAINT, INK, MARKERS, NAMED, OPTIMUM, span
from mixlaw.wording import in_words

PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g}%")


@dataclass(frozen=True)
class Measured:
    """One mixture that was predicted and then trained: interval and the losses of its seeds, nats per token."""

    name: str
    predicted: float
    low: float
    high: float
    losses: tuple[float, ...]


def predicted_and_measured(mixtures: Sequence[Measured]) -> Figure:
    """Full runs: the predicted loss with its interval, and the loss of every seed, mixture by mixture."""
    figure = Figure(figsize=(6.4, 0.75 + 0.55 * len(mixtures)))
    axes = figure.subplots()
    for place, mixture in enumerate(mixtures):
        colour = NAMED.get(mixture.name, INK)
        axes.plot(
            [mixture.low, mixture.high], [place, place], color=colour, alpha=0.35, linewidth=7, solid_capstyle="butt"
        )
        axes.plot(mixture.predicted, place, "|", color=colour, markersize=17, markeredgewidth=2.5)
        axes.plot(mixture.losses, [place] * len(mixture.losses), "o", color=INK, markersize=6, markerfacecolor="white")
    axes.set_yticks(range(len(mixtures)), [mixture.name for mixture in mixtures])
    axes.set_ylim(len(mixtures) - 0.5, -0.5)
    axes.set_xlabel(
        "weighted loss, nats per token    (bar: predicted, with its interval; circles: measured, one a seed)"
    )
    return figure


def mixtures_sampled(domains: Sequence[str], sampled: Array, named: Mapping[str, Array]) -> Figure:
    """How far the sampled mixtures spread each domain, with the mixtures that matter marked.

    Args:
        domains: M names.
        sampled: (n, M) proportions of the proxies.
        named: mixtures to mark, (M,) each.
    """
    figure = Figure(figsize=(6.4, 0.9 + 0.36 * len(domains)))
    axes = figure.subplots()
    for place in range(len(domains)):
        axes.plot(sampled[:, place], np.full(len(sampled), place), "|", color=FAINT, markersize=11, markeredgewidth=1.1)
        for name, proportions in named.items():
            axes.plot(
                proportions[place], place, MARKERS.get(name, "*"), color=NAMED.get(name, INK), markersize=6.5,
                markeredgecolor="white", label=name if place == 0 else None,
            )  # fmt: skip
    axes.set_yticks(range(len(domains)), list(domains))
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PERCENT)
    axes.set_xlabel("proportion of training tokens    (ticks: mixtures the proxies trained on)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.5 / len(domains)), ncols=len(named))
    return figure


@dataclass(frozen=True)
class Curve:
    """One training curve: tokens, losses and the size it belongs to; `name` is set for curves to highlight."""

    params: float
    tokens: Array
    losses: Array
    name: str = ""


def loss_curves(curves: Sequence[Curve]) -> Figure:
    """Weighted loss against tokens, one panel a model size, on common axes."""
    sizes = sorted({curve.params for curve in curves})
    figure = Figure(figsize=(max(3.2, 2.5 * len(sizes)), 3.1))
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        labelled: set[str] = set()
        for curve in sorted((curve for curve in curves if curve.params == size), key=lambda curve: bool(curve.name)):
            colour = NAMED.get(curve.name, FAINT)
            label = curve.name if curve.name and curve.name not in labelled else None
            labelled.add(curve.name)
            width, dot, alpha = (1.8, 5, 1.0) if curve.name else (0.7, 3, 0.6)
            axes.plot(
                curve.tokens,
                curve.losses,
                ".-",
                color=colour,
                label=label,
                linewidth=width,
                markersize=dot,
                alpha=alpha,
            )
        axes.set_xscale("log")
        ticks = sorted({float(token) for curve in curves if curve.params == size for token in curve.tokens})
        axes.set_xticks([ticks[0], ticks[-1]] if len(ticks) > 1 else ticks)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(value)))
        axes.set_title(f"{in_words(size)} parameters")
        axes.set_xlabel("tokens")
        if labelled - {""}:
            axes.legend(fontsize=8)
    panels[0].set_ylabel("weighted loss, nats per token")
    return figure


def fitted_against_measured(targets: Sequence[str], fitted: Array, measured: Array, held_out: bool) -> Figure:
    """Small multiples: what the law says against what was measured, target by target.

    Args:
        targets: V names.
        fitted: (n, V).
        measured: (n, V), NaN where not measured.
        held_out: whether each fitted value comes from a fit that did not see its mixture; the axis says which.
    """
    columns = min(4, len(targets))
    rows = -(-len(targets) // columns)
    figure = Figure(figsize=(1.75 * columns + 0.4, 1.85 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, (axes, target) in enumerate(zip(panels, targets, strict=False)):
        seen = np.isfinite(measured[:, place]) & np.isfinite(fitted[:, place])
        x, y = fitted[seen, place], measured[seen, place]
        axes.plot(x, y, "o", color=NAMED["natural"], markersize=3.4, alpha=0.7)
        if len(x):
            span(axes, float(min(x.min(), y.min())), float(max(x.max(), y.max())))
        error = float(np.sqrt(np.mean((x - y) ** 2))) if len(x) else float("nan")
        axes.set_title(f"{target}\nRMSE {error:.3f}", fontsize=8.5)
        axes.tick_params(labelsize=7.5)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    for axes in panels[len(targets) :]:
        axes.set_visible(False)
    figure.supxlabel(f"{'predicted without the mixture' if held_out else 'fitted'}, nats per token", fontsize=9)
    figure.supylabel("measured", fontsize=9)
    return figure


def interactions(domains: Sequence[str], targets: Sequence[str], effect: Array) -> Figure:
    """Which domain helps which target: the change of each loss for one more point of a domain.

    Args:
        domains: M names.
        targets: V names.
        effect: (V, M), nats per percentage point taken from the other domains in proportion; negative helps.
    """
    figure = Figure(figsize=(1.6 + 0.62 * len(domains), 1.2 + 0.34 * len(targets)), layout="constrained")
    axes = figure.subplots()
    limit = float(np.abs(effect).max()) or 1.0
    image = axes.imshow(effect, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(domains)), list(domains), rotation=35, ha="right")
    axes.set_yticks(range(len(targets)), list(targets))
    axes.grid(visible=False)
    if effect.size <= 150:
        for row, column in np.ndindex(effect.shape):
            colour = "white" if abs(effect[row, column]) > 0.6 * limit else INK
            text = f"{1000 * effect[row, column]:+.1f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7.5)
    axes.set_xlabel("one more percentage point of this domain")
    axes.set_ylabel("target")
    figure.colorbar(image, ax=axes, label="nats per token (cells: thousandths)", shrink=0.9)
    return figure


def optimum_against_baselines(
    domains: Sequence[str], named: Mapping[str, Array], near_optimal: Mapping[str, tuple[float, float]], cap: Array
) -> Figure:
    """The chosen proportion of each domain, the range that is nearly as good, its cap, and the baselines.

    Args:
        domains: M names.
        named: mixtures to show, (M,) each, the optimum among them.
        near_optimal: smallest and largest proportion of each domain among nearly optimal mixtures.
        cap: (M,) largest proportion allowed.
    """
    figure = Figure(figsize=(6.4, 0.9 + 0.36 * len(domains)))
    axes = figure.subplots()
    for place, domain in enumerate(domains):
        if domain in near_optimal:
            axes.plot(
                near_optimal[domain], [place, place], color=OPTIMUM, alpha=0.3, linewidth=8, solid_capstyle="butt"
            )
        if cap[place] < 1:
            axes.plot([cap[place]] * 2, [place - 0.32, place + 0.32], color=INK, linewidth=1.6)
        for name, proportions in named.items():
            axes.plot(
                proportions[place], place, MARKERS.get(name, "*"), color=NAMED.get(name, INK), markersize=7,
                markeredgecolor="white", label=name if place == 0 else None,
            )  # fmt: skip
    axes.set_yticks(range(len(domains)), list(domains))
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PERCENT)
    axes.set_xlabel("proportion of training tokens    (band: nearly as good; black line: the most the data allow)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.5 / len(domains)), ncols=len(named))
    return figure
