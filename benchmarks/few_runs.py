"""What a law knows from few runs: errors and 90% intervals on mixtures that it was not fitted to.

    python benchmarks/few_runs.py [--quick]          (or: make bench-few-runs)

A few mixtures of a published swarm are drawn, laws are fitted to them, and the swarm's other mixtures are predicted;
mean over draws, targets and swarms. Errors and interval scores are shares of the standard deviation of a target's
losses, so that 1 is what the mean of all losses would do. Swarms are those of `benchmarks/priors.py`: RegMix's training
runs, and published runs below 500M. Writes benchmarks/results/few_runs.md.
"""

import sys
import time
import warnings

import numpy as np
from priors import tables
from reference import markdown, reference_folder, write_results
from regmix import Swarm, regmix
from rival_intervals import coverage, delta, interval_score

from mixlaw.laws import LAWS
from mixlaw.mixture import Array

QUICK = "--quick" in sys.argv[1:]
KINDS = ("reciprocal", "root-exponential", "exponential")
DRAWS = 2 if QUICK else 8
LEVEL = 0.9
OTHERS = 128
"""Most mixtures that are predicted after a draw."""


def few(kind: str, swarm: Swarm, count: int, seed: int) -> Array:
    """Error, share inside and interval score (3,) of the mixtures that were not drawn."""
    order = np.random.default_rng((count, seed)).permutation(len(swarm.losses))
    drawn, left = order[:count], order[count:][:OTHERS]
    runs = Swarm(swarm.domains, swarm.targets, swarm.proportions[drawn], swarm.losses[drawn])
    interval = delta(LAWS[kind], runs, swarm.proportions[left], LEVEL)
    deviation, measured = swarm.losses.std(axis=0), swarm.losses[left]
    error = np.sqrt(((np.mean(interval, axis=0) - measured) ** 2).mean(axis=0)) / deviation
    scaled = interval[0] / deviation, interval[1] / deviation
    return np.array([error.mean(), coverage(interval, measured), interval_score(scaled, measured / deviation, LEVEL)])


def table_of(title: str, swarms: list[Swarm], counts: tuple[int, ...]) -> str:
    """Errors, shares inside and median scores by law and count, mean over swarms and draws."""
    rows: list[list[str | float]] = []
    for kind in KINDS:
        start = time.process_time()
        errors, inside, scores = [], [], []
        for count in counts:
            found = np.array([few(kind, swarm, count, seed) for swarm in swarms for seed in range(DRAWS)])
            errors.append(f"{np.median(found[:, 0]):.2f}")
            inside.append(f"{100 * found[:, 1].mean():.0f}%")
            scores.append(f"{np.median(found[:, 2]):.2f}")
        rows.append([kind, *errors, *inside, *scores, f"{time.process_time() - start:.0f} s"])
        print(f"  {title}: {kind}", file=sys.stderr, flush=True)
    header = [f"{what} {count}" for what in ("error", "inside", "score") for count in counts]
    return "\n".join([f"## {title}", "", markdown(["law", *header, "CPU time"], rows)])


def main() -> None:
    """Print and write the tables."""
    # An exponential law of a few runs may promise more nats in a corner than a float holds.
    warnings.simplefilter("ignore", RuntimeWarning)
    train, _ = regmix(reference_folder())
    seven = [swarm for swarm in tables().values() if len(swarm.domains) == 7]
    words = (
        f"By how many mixtures were fitted. Median error over {DRAWS} draws a swarm, share of losses inside their "
        f"{LEVEL:.0%} intervals, and median interval score (lower is better)."
    )
    sections = [
        "# Few runs",
        words,
        table_of(f"{len(seven)} swarms of 7 domains", seven, (4, 6, 8, 12)),
        table_of("RegMix, 17 domains", [train], (6, 12, 18, 24, 36)),
    ]
    print("\n\n".join(sections))
    if not QUICK:
        write_results("few_runs.md", sections)


if __name__ == "__main__":
    main()
