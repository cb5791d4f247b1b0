"""Which mixtures were trained on: rows of ticks for any number of domains, a triangle for three."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from mixlaw.mixture import Array
from mixlaw.report.style import FAINT, INK, MARKERS, NAMED, PERCENT, WIDTH, columns_of_key, pitch, shortened, small

HEIGHT = float(np.sqrt(3) / 2)
"""Of a triangle of unit sides."""


def rows_of_domains(domains: Sequence[str], named: Collection[str]) -> tuple[Figure, Axes]:
    """An empty figure with a row for each domain, a percent axis, and room above for a key of the named mixtures."""
    lines = -(-len(named) // max(1, columns_of_key([*named])))
    figure = Figure(figsize=(WIDTH, 0.65 + 0.22 * lines + pitch(len(domains)) * len(domains)))
    axes = figure.subplots()
    axes.set_yticks(range(len(domains)), [shortened(domain) for domain in domains], fontsize=small(len(domains)))
    axes.set_ylim(len(domains) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(PERCENT)
    return figure, axes


def mark_mixtures(figure: Figure, axes: Axes, named: Mapping[str, Array], size: float = 6.5) -> None:
    """Mark named mixtures (M,) on rows of domains, with a key above."""
    for place, (name, proportions) in enumerate(named.items()):
        axes.plot(
            proportions, range(len(proportions)), MARKERS.get(name, "*"), color=NAMED.get(name, INK), markersize=size,
            markeredgecolor="white", label=shortened(name), clip_on=False, zorder=4 - place / len(named),
        )  # fmt: skip
    if named:
        figure.legend(loc="outside upper left", ncols=columns_of_key([*named]))


def mixtures_sampled(domains: Sequence[str], sampled: Array, named: Mapping[str, Array]) -> Figure:
    """How far the mixtures of the runs spread each domain, with the mixtures that matter marked.

    Args:
        domains: M names.
        sampled: (n, M) proportions of the runs.
        named: mixtures to mark, (M,) each.
    """
    figure, axes = rows_of_domains(domains, named)
    strength = float(np.clip(12 / np.sqrt(len(sampled)), 0.25, 1.0))
    for place in range(len(domains)):
        axes.plot(
            sampled[:, place], np.full(len(sampled), place), "|", color=FAINT, alpha=strength,
            markersize=30 * pitch(len(domains)), markeredgewidth=1.1,
        )  # fmt: skip
    mark_mixtures(figure, axes, named)
    axes.set_xlabel("proportion of training tokens")
    return figure


def triangle(
    domains: Sequence[str], sampled: Array, losses: Array, named: Mapping[str, Array], field: Array | None = None
) -> Figure:
    """Mixtures of three domains as points of a triangle, whose corners are the domains alone.

    Args:
        domains: three names: left, right and upper corner.
        sampled: (n, 3) mixtures of the runs.
        losses: (n,) their losses, nats per token, as colour; NaN where not measured.
        named: mixtures to mark, (3,) each.
        field: predicted losses at the mixtures of `grid_of_triangle`, drawn as bands of 12 levels; None for none.
    """
    figure = Figure(figsize=(WIDTH, 4.4))
    axes = figure.subplots()
    known = np.isfinite(losses)
    shades: dict[str, Any] = {"cmap": "cividis"}
    if known.any() or field is not None:
        every = np.concatenate([losses[known], [] if field is None else field])
        shades |= {"vmin": float(every.min()), "vmax": float(every.max())}
    drawn: ScalarMappable | None = None
    if field is not None and np.ptp(field) > 0:
        x, y = _flat(grid_of_triangle())
        drawn = axes.tricontourf(x, y, field, levels=12, **shades)
    axes.plot([0, 1, 0.5, 0], [0, 0, HEIGHT, 0], color=FAINT, linewidth=1)
    for share in (0.25, 0.5, 0.75):
        for turn in range(3):
            ends = np.roll([[share, 1 - share, 0.0], [share, 0.0, 1 - share]], turn, axis=1)
            axes.plot(*_flat(ends), color=FAINT, linewidth=0.4, alpha=0.6)
    axes.plot(*_flat(sampled[~known]), "o", color="white", markeredgecolor=INK, markersize=4.5)
    if known.any():
        x, y = _flat(sampled[known])
        points = axes.scatter(x, y, c=losses[known], s=26, edgecolors="white", linewidths=0.7, zorder=3, **shades)
        drawn = drawn or points
    for name, proportions in named.items():
        axes.plot(
            *_flat(proportions[None]), MARKERS.get(name, "*"), color=NAMED.get(name, INK), markersize=9,
            markeredgecolor="white", label=shortened(name), zorder=4,
        )  # fmt: skip
    corners = ((0, -0.05, "left", "top"), (1, -0.05, "right", "top"), (0.5, HEIGHT + 0.03, "center", "bottom"))
    for domain, (across, up, side, edge) in zip(domains, corners, strict=True):
        axes.text(across, up, f"only {shortened(domain)}", ha=side, va=edge)
    axes.set_aspect("equal")
    axes.set_axis_off()
    if named:
        figure.legend(loc="outside upper left", ncols=columns_of_key([*named]))
    if drawn is not None:
        figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, aspect=30, label="weighted loss, nats per token")
    return figure


def grid_of_triangle(steps: int = 40) -> Array:
    """(n, 3) mixtures on a regular grid over all mixtures of three domains."""
    found = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return np.array(found, dtype=float) / steps


def _flat(mixtures: Array) -> tuple[Array, Array]:
    """Places in the plane of mixtures (n, 3): the first domain is left, the second right, the third above."""
    return mixtures[:, 1] + mixtures[:, 2] / 2, HEIGHT * mixtures[:, 2]
