"""How far tokens carry: the fall in loss predicted from three young checkpoints beside the one that was measured.

    python benchmarks/tokens.py        (or: make bench-tokens)

Prints a table and writes it to benchmarks/results/tokens.md. The runs are published ones (Ye et al. 2024, arXiv
2403.16952; Shukor et al. 2025, arXiv 2507.09404) and the project's own `runs/tokens`. Its last line is the share of the
predicted fall that `mixlaw.surfaces.backtest.UNTRIED` takes for the error where no backtest tries more tokens.
"""

import time
from itertools import count, product, takewhile
from pathlib import Path

import numpy as np
from reference import ROOT, markdown, reference_folder, write_results

from mixlaw.errors import Refused
from mixlaw.laws.reciprocal import Reciprocal
from mixlaw.mixture import Array
from mixlaw.runs import RunTable, read_runs
from mixlaw.surfaces.backtest import UNTRIED
from mixlaw.surfaces.curves import distinct, same_scale
from mixlaw.surfaces.pooled import Pooled

CHECKPOINTS, DOUBLING, HORIZONS = 3, 2.0, (2.0, 4.0)
"""A surface is fitted to so many token counts, each so many times the one before, and asked for so many times more."""

NEAR = 0.13
"""Logarithm of how far from a token count its checkpoint may lie: published ones are not logged at every doubling."""

LEAST_FALL = 0.05
"""Nats; a fall smaller than this says more of noise than of a curve."""


def sources() -> dict[str, Path]:
    """The run tables, by name."""
    published = {
        name: reference_folder() / f"{name}.csv" for name in ("redpajama", "slimpajama_small", "three_domains")
    }
    return {**published, "runs/tokens": ROOT / "runs" / "tokens" / "runs.csv"}


def falls(table: RunTable) -> list[list[str | float]]:
    """A row for every start, size and horizon: tokens fitted from and to, params, horizon, runs and the two falls."""
    rows: list[list[str | float]] = []
    first, most = float(np.quantile(table.tokens, 0.01)), float(table.tokens.max()) * np.exp(NEAR)
    least = DOUBLING ** (CHECKPOINTS - 1) * min(HORIZONS)
    starts = takewhile(lambda start: start * least <= most, (first * 2**n for n in count()))
    for start in starts:
        young = [start * DOUBLING**place for place in range(CHECKPOINTS)]
        if not all(_near(table.tokens, tokens).any() for tokens in young):
            continue
        part = table.where(np.any([_near(table.tokens, tokens) for tokens in young], axis=0))
        try:
            surface = Pooled.carry_from(part, Reciprocal)
        except Refused:
            continue
        for size, horizon in product(distinct(table.params), HORIZONS):
            found = _fall(table, surface, float(size), young[-1], horizon)
            if found is not None and found[2] > LEAST_FALL:
                rows.append([f"{start:.3g}", f"{young[-1]:.3g}", f"{size:.3g}", f"{horizon:.0f}", *found])
    return rows


def _fall(
    table: RunTable, surface: Pooled, size: float, tokens: float, horizon: float
) -> tuple[int, float, float] | None:
    """Runs, and the mean over them and the targets of the fall predicted and measured, at one size."""
    predicted, measured = [], []
    here = table.where(same_scale(table.params, size))
    for run in sorted(set(here.runs)):
        rows = np.flatnonzero(here.runs == run)
        ends = [_closest(here.tokens, rows, each) for each in (tokens, tokens * horizon)]
        known = np.abs(surface.proportions - here.proportions[rows[0]]).max(axis=1)
        if None in ends or known.min() > 1e-5:
            continue
        scales = [surface.losses_at(size, float(here.tokens[end]))[known.argmin()] for end in ends]
        predicted.append(scales[0] - scales[1])
        measured.append(here.losses[ends[0]] - here.losses[ends[1]])
    if not measured:
        return None
    both = np.isfinite(predicted) & np.isfinite(measured)
    return len(measured), float(np.array(predicted)[both].mean()), float(np.array(measured)[both].mean())


def _near(values: Array, tokens: float) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    near: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.abs(np.log(values / tokens)) <= NEAR
    return near


def _closest(values: Array, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]", tokens: float) -> int | None:
    best = int(rows[np.abs(np.log(values[rows] / tokens)).argmin()])
    return best if _near(values[[best]], tokens)[0] else None


def main() -> None:
    """Print and write the table."""
    start = time.process_time()
    rows = [[name, *row] for name, path in sources().items() for row in falls(read_runs(path))]
    ratios = np.array([float(row[-1]) / float(row[-2]) for row in rows])
    cells = [[*row, f"{ratio:.2f}"] for row, ratio in zip(rows, ratios, strict=True)]
    error = float(np.sqrt(np.mean(np.log(ratios) ** 2)))
    sections = [
        "# How far tokens carry",
        f"`pooled` is fitted to {CHECKPOINTS} token counts of every run, each twice the one before, and asked for "
        f"{HORIZONS[0]:.0f} and {HORIZONS[1]:.0f} times the last. Mean over runs and targets of the fall in loss from "
        "the last, nats per token.",
        markdown(["table", "from", "to", "params", "times", "runs", "predicted", "measured", "ratio"], cells),
        f"Root mean square of log(measured / predicted): {error:.2f}. Taken for the error where no backtest tries more "
        f"tokens: {UNTRIED:.2f}. {time.process_time() - start:.0f} s of CPU time.",
    ]
    print("\n\n".join(sections), flush=True)
    write_results("tokens.md", sections)


if __name__ == "__main__":
    main()
