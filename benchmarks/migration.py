"""What users of other systems would see: their predictors and ours, on their runs.

    python benchmarks/migration.py        (or: make bench-migration)

RegMix (Liu et al. 2024, arXiv 2407.01492) ranks 256 mixtures by the Pile-CC loss that 512 others predict. Prints the
rank correlations that it published and those of the same predictors here, then what fewer runs would have given, and
writes both to benchmarks/results/migration.md.
"""

import time

import numpy as np
from reference import markdown, reference_folder, write_results
from regmix import SEEDS, Swarm, regmix
from scipy.stats import spearmanr

from mixlaw.laws import LAWS

TARGET = "pile_cc"
PUBLISHED = {"linear": 90.08, "trees": 98.45}
"""Rank correlations at 1M parameters: linear regression, and LightGBM, stopped early by a look at the test runs."""

KINDS = ("linear", "trees", "exponential", "reciprocal")
COUNTS = (32, 64, 128, 256, 512)


def rank_correlations(train: Swarm, test: Swarm) -> str:
    """Spearman's rank correlation of predicted and measured losses, in percent, and the error."""
    rows: list[list[str | float]] = []
    for kind in KINDS:
        begun = time.process_time()
        ranked, error = _scores(kind, train, test)
        published = f"{PUBLISHED[kind]:.2f}" if kind in PUBLISHED else ""
        rows.append([kind, published, f"{ranked:.2f}", error, f"{time.process_time() - begun:.1f} s"])
    return markdown(["law", "published rank correlation", "here", "RMSE", "CPU time"], rows)


def by_number_of_runs(train: Swarm, test: Swarm) -> str:
    """The same error, nats per token, when fewer runs are drawn; mean of five draws."""
    rows: list[list[str | float]] = []
    for count in COUNTS:
        draws = [train.draw(count, seed) for seed in range(SEEDS if count < len(train.losses) else 1)]
        rows.append([str(count), *(float(np.mean([_scores(kind, draw, test)[1] for draw in draws])) for kind in KINDS)])
    return markdown(["runs", *KINDS], rows)


def _scores(kind: str, train: Swarm, test: Swarm) -> tuple[float, float]:
    column = train.targets.index(TARGET)
    law = LAWS[kind].fit(train.domains, (TARGET,), train.proportions, train.losses[:, column : column + 1]).law
    predicted, measured = law.predict(test.proportions)[:, 0], test.losses[:, column]
    ranked = 100 * float(spearmanr(predicted, measured).statistic)
    return ranked, float(np.sqrt(np.mean((predicted - measured) ** 2)))


if __name__ == "__main__":
    swarms = regmix(reference_folder())
    text = [
        "# Other systems' predictors on their runs",
        "## RegMix, 512 runs at 1M parameters, Pile-CC loss of 256 others",
        rank_correlations(*swarms),
        "## The same with fewer runs",
        "Root mean square error on the 256, nats per token; mean of five draws.",
        by_number_of_runs(*swarms),
    ]
    print("\n\n".join(text))
    write_results("migration.md", text)
