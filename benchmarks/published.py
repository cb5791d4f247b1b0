"""Published predictions, made again: the nested pipeline at 1B, the mixing laws on three domains, the Chinchilla fit.

    python benchmarks/published.py        (or: make bench-published)

Prints three tables and writes them to benchmarks/results/published.md. The runs are Data Mixing Laws' (Ye et al. 2024,
arXiv 2403.16952) and Hoffmann et al.'s as read off their figure (Besiroglu et al. 2024, arXiv 2404.10102).
"""

import time

import numpy as np
import pandas as pd
from reference import markdown, reference_folder, write_results

from mixlaw.design.double_diminishing import DoubleDiminishing
from mixlaw.errors import Refused
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.limits import Limits
from mixlaw.mixture import Array
from mixlaw.runs import RunTable, read_runs
from mixlaw.surfaces import SURFACES
from mixlaw.surfaces.chinchilla import fit_published
from mixlaw.surfaces.curves import Index
from mixlaw.weights import read_numbers, weights_of

STEP_TOKENS = 1_048_576
TARGET_PARAMS, TARGET_TOKENS = 805_736_448, 100_000 * STEP_TOKENS
LARGEST_PARAMS, MOST_TOKENS = 350_000_000, 30_000 * STEP_TOKENS
MIXTURES = {"default": "1B-999", "optimised": "1B-997"}
"""The two 1B runs that reach 100k steps: the one with most of CommonCrawl, and the one the authors' law chose."""

CAPS = (1, 1, 0.5857, 0.2588, 0.2254, 0.1779, 0.1727)
"""Largest proportion of each RedPajama domain in 100B tokens, as the source gives them."""

AUTHORS = {"default": 2.6502, "optimised": 2.5682}

OUTLIERS = 5
PUBLISHED_CHINCHILLA = (477.8, 2143.4, 1.8172, 0.34731, 0.36717, 0.00101827)

SPLITS, HELD_OUT_MIXTURES = 20, 8


def nested_at_1b() -> str:
    """Runs of at most 410M and 30k steps, carried to 1B and 100k steps."""
    folder = reference_folder()
    table = read_runs(folder / "redpajama.csv")
    weights = weights_of(read_numbers(folder / "pile_validation_weights.json", "weights"), table.targets)
    small = table.where((table.params < LARGEST_PARAMS) & (table.tokens <= MOST_TOKENS))
    ends = {name: _last_row(table, run) for name, run in MIXTURES.items()}
    observed = {name: float(end.losses[0] @ weights) for name, end in ends.items()}
    candidates = _candidates(table.domains)
    rows: list[list[str | float]] = [
        ["observed", "", observed["default"], "", observed["optimised"], "", "", ""],
        ["authors' prediction", "M4"]
        + [cell for name in MIXTURES for cell in (AUTHORS[name], f"{AUTHORS[name] - observed[name]:+.4f}")]
        + ["", "their optimised mixture"],
    ]
    for scale in ("nested", "pooled"):
        for kind in ("exponential", "reciprocal"):
            if kind in LAWS:
                rows.append([scale, kind, *_at_1b(small, scale, kind, ends, observed, weights, candidates)])
    chosen = f"{len(candidates)} candidates with proportions that halve from the caps"
    return "\n".join(
        [
            "## RedPajama, runs to 410M and 30k steps carried to 1B and 100k steps",
            "",
            "Weighted loss, nats per token, predicted minus observed, and half the width of the 90% interval; the last "
            f"column is the best of {chosen}.",
            "",
            markdown(
                ["scale", "law", "default", "error", "optimised", "error", "90% interval", "it would choose"],
                rows,
            ),
            "",
            f"Proportions in the order {', '.join(table.domains)}.",
        ]
    )


def laws_on_three_domains() -> str:
    """Mean absolute error of every law on mixtures left out, at one scale."""
    table = read_runs(reference_folder() / "three_domains.csv")
    large = table.where(table.params == table.params.max()).last()
    generator = np.random.default_rng(0)
    splits = [generator.permutation(len(large)) for _ in range(SPLITS)]
    rows: list[list[str | float]] = []
    for kind, law in LAWS.items():
        start = time.process_time()
        try:
            errors = [_held_out_error(law, large, split) for split in splits]
        except Refused as refused:
            rows.append([kind, *["refused"] * len(table.targets), str(refused)[:60]])
            continue
        rows.append(
            [kind, *(float(error) for error in np.mean(errors, axis=0)), f"{time.process_time() - start:.1f} s"]
        )
    return "\n".join(
        [
            "## Mixing laws on three domains, 410M at 60k steps",
            "",
            f"Mean absolute error, nats per token, on {HELD_OUT_MIXTURES} mixtures left out of {len(large)}; mean of "
            f"{SPLITS} random splits by mixture.",
            "",
            markdown(["law", *table.targets, "CPU time"], rows),
        ]
    )


def chinchilla() -> str:
    """Hoffmann et al.'s law on the points of their figure, against the published replication."""
    frame = pd.read_csv(reference_folder() / "chinchilla.csv")
    kept = frame.sort_values("loss").iloc[:-OUTLIERS]
    params = kept["params"].to_numpy(float)
    start = time.process_time()
    fit = fit_published(params, kept["flop"].to_numpy(float) / (6 * params), kept["loss"].to_numpy(float))
    seconds = time.process_time() - start
    found = [fit.size_height, fit.token_height, fit.irreducible, fit.size_exponent, fit.token_exponent, fit.objective]
    return "\n".join(
        [
            "## Chinchilla, E + A / N^alpha + B / D^beta",
            "",
            f"{len(kept)} points, the {OUTLIERS} highest losses left out; {seconds:.2f} s of CPU time.",
            "",
            markdown(
                ["", "A", "B", "E", "alpha", "beta", "Huber(1e-3) sum of log residuals"],
                [
                    ["published", *(f"{value:.6g}" for value in PUBLISHED_CHINCHILLA)],
                    ["here", *(f"{value:.6g}" for value in found[:-1]), f"{found[-1]:.10f}"],
                ],
            ),
        ]
    )


def _last_row(table: RunTable, run: str) -> RunTable:
    return table.where(table.runs == run).last()


def _candidates(domains: tuple[str, ...]) -> Array:
    limits = Limits.of(domains, caps=dict(zip(domains, CAPS, strict=True)))
    return np.array(list(DoubleDiminishing().enumerate(limits)))


def _at_1b(
    small: RunTable,
    scale: str,
    kind: str,
    ends: dict[str, RunTable],
    observed: dict[str, float],
    weights: Array,
    candidates: Array,
) -> list[str | float]:
    at = SURFACES[scale].fit(small, LAWS[kind]).at(TARGET_PARAMS, TARGET_TOKENS)
    uncertainty = uncertainty_of(at)
    cells: list[str | float] = []
    halves = []
    for name, end in ends.items():
        predicted = float(at.fit.law.predict(end.proportions)[0] @ weights)
        cells += [predicted, f"{predicted - observed[name]:+.4f}"]
        halves.append(float(uncertainty.half_width(end.proportions, 0.9, weights)[0, 0]))
    best = candidates[np.argmin(at.fit.law.predict(candidates) @ weights)]
    return [*cells, " ".join(f"±{half:.3f}" for half in halves), " ".join(f"{value:.4g}" for value in best)]


def _held_out_error(law: type[MixingLaw], table: RunTable, order: Index) -> Array:
    test, train = order[:HELD_OUT_MIXTURES], order[HELD_OUT_MIXTURES:]
    fitted = law.fit(table.domains, table.targets, table.proportions[train], table.losses[train])
    errors: Array = np.abs(fitted.law.predict(table.proportions[test]) - table.losses[test]).mean(axis=0)
    return errors


def main() -> None:
    """Print and write the tables."""
    sections = ["# Published predictions, made again"]
    for section in (nested_at_1b, laws_on_three_domains, chinchilla):
        sections.append(section())
        print(sections[-1], end="\n\n", flush=True)
    write_results("published.md", sections)


if __name__ == "__main__":
    main()
