"""Surfaces over mixture, size and tokens: how well each carries small runs to larger ones, side by side.

    python benchmarks/surfaces.py [LAW]        (or: make bench-surfaces; LAW is the mixing law, reciprocal by default)

Prints two tables and writes them to benchmarks/results/surfaces.md. The runs are those behind Shukor et al. 2025 (arXiv
2507.09404) on SlimPajama, and Data Mixing Laws' on RedPajama (Ye et al. 2024, arXiv 2403.16952).
"""

import sys
import time

import numpy as np
from reference import markdown, reference_folder, write_results
from scipy.stats import spearmanr

from mixlaw.errors import Refused
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.runs import RunTable, read_runs
from mixlaw.surfaces import SURFACES
from mixlaw.surfaces.base import Surface
from mixlaw.surfaces.curves import distinct, same_scale
from mixlaw.weights import read_numbers, weights_of

LEFT_OUT = 0.2
"""The part of each run's tokens, at its beginning, that no surface is fitted to or scored on."""

STEP_TOKENS = 1_048_576
BENCHMARKED = ("pooled", "nested", "chinchilla", "additive", "joint", "exponential")


def slimpajama(law: type[MixingLaw]) -> str:
    """Runs of at most 310M carried to 680M."""
    table = read_runs(reference_folder() / "slimpajama_small.csv")
    longest = table.frame.groupby("run")["tokens"].transform("max").to_numpy()
    table = table.where(table.tokens > LEFT_OUT * longest)
    small, large = table.where(table.params < 5e8), table.where(table.params > 5e8)
    rows: list[list[str | float]] = []
    said = []
    for name in BENCHMARKED:
        start = time.process_time()
        try:
            surface = SURFACES[name].fit(small, law)
            scores = _scores(surface, large)
        except Refused as refused:
            said.append(f"{name} refused: {refused}.")
            continue
        rows.append([name, *scores, f"{time.process_time() - start:.1f} s"])
    return _section(
        "SlimPajama, 122M and 310M carried to 680M",
        "The first fifth of each run is left out. Relative error and bias of 8 targets over every later checkpoint of "
        "40 mixtures, and at the last one also the rank correlation of the mixtures (mean of the targets) and how much "
        f"the 90% intervals cover. Mixing law where one is fitted: {law.kind}. {' '.join(said)}",
        ["surface", "error %", "bias", "error % at the end", "rank correlation %", "coverage %", "CPU time"],
        rows,
    )


def redpajama(law: type[MixingLaw]) -> str:
    """Runs of at most 410M and 30k steps carried to every 1B checkpoint."""
    folder = reference_folder()
    table = read_runs(folder / "redpajama.csv")
    weights = weights_of(read_numbers(folder / "pile_validation_weights.json", "weights"), table.targets)
    small = table.where((table.params < 3.5e8) & (table.tokens <= 30_000 * STEP_TOKENS))
    large = table.where(table.params > 5e8)
    rows: list[list[str | float]] = []
    for name in BENCHMARKED:
        start = time.process_time()
        surface = SURFACES[name].fit(small, law)
        cells: list[str | float] = []
        for steps in (20_000, 40_000, 100_000):
            here = large.where(same_scale(large.tokens, steps * STEP_TOKENS))
            at = surface.at(float(here.params[0]), float(here.tokens[0]))
            errors = (at.fit.law.predict(here.proportions) - here.losses) @ weights
            half = uncertainty_of(at).half_width(here.proportions, 0.9, weights)[:, 0]
            cells += [
                " ".join(f"{error:+.3f}" for error in errors),
                f"{int((abs(errors) <= half).sum())}/{len(errors)}",
            ]
        rows.append([name, *cells, f"{time.process_time() - start:.1f} s"])
    return _section(
        "RedPajama, runs to 410M and 30k steps carried to 1B",
        "Predicted minus observed weighted loss, nats per token, of the 1B runs that reach so many steps, and how many "
        f"of them lie in the 90% interval. Mixing law where one is fitted: {law.kind}.",
        ["surface", "20k steps", "inside", "40k steps", "inside", "100k steps", "inside", "CPU time"],
        rows,
    )


def _scores(surface: Surface, large: RunTable) -> list[str | float]:
    errors, params = [], float(large.params[0])
    scales = distinct(large.tokens)
    for tokens in scales:
        here = large.where(same_scale(large.tokens, float(tokens)))
        at = surface.at(params, float(tokens))
        errors.append((at.fit.law.predict(here.proportions) - here.losses, here.losses))
    wrong = np.concatenate([error for error, _ in errors])
    relative = np.abs(wrong) / np.concatenate([losses for _, losses in errors])
    last_error, last = errors[-1]
    inside = np.abs(last_error) <= uncertainty_of(at).half_width(here.proportions, 0.9)
    return [
        f"{100 * np.nanmean(relative):.3f}",
        f"{np.nanmean(wrong):+.4f}",
        f"{100 * np.nanmean(np.abs(last_error) / last):.3f}",
        f"{100 * _rank_correlation(last_error + last, last):.2f}",
        f"{100 * inside[np.isfinite(last)].mean():.0f}",
    ]


def _rank_correlation(predicted: Array, measured: Array) -> float:
    """Mean over targets of Spearman's correlation over mixtures; a constant prediction ranks nothing."""
    found = []
    for first, second in zip(predicted.T, measured.T, strict=True):
        known = np.isfinite(second)
        constant = np.ptp(first[known]) < 1e-12
        found.append(0.0 if constant else float(spearmanr(first[known], second[known]).statistic))
    return float(np.mean(found))


def _section(title: str, note: str, header: list[str], rows: list[list[str | float]]) -> str:
    return "\n".join([f"## {title}", "", note, "", markdown(header, rows)])


def main() -> None:
    """Print and write the tables."""
    law = LAWS[sys.argv[1]] if len(sys.argv) > 1 else LAWS.get("reciprocal", LAWS["exponential"])
    sections = ["# Surfaces over mixture, size and tokens"]
    for section in (slimpajama, redpajama):
        sections.append(section(law))
        print(sections[-1], end="\n\n", flush=True)
    write_results("surfaces.md", sections)


if __name__ == "__main__":
    main()
