"""What users of other systems would see: their predictors and ours, on their runs.

    python benchmarks/migration.py        (or: make bench-migration)

RegMix (Liu et al. 2024, arXiv 2407.01492) ranks 256 mixtures by the Pile-CC loss that 512 others predict. Prints the
rank correlations that it published and those of the same predictors here, and writes them to
benchmarks/results/migration.md.
"""

import time

import numpy as np
from reference import markdown, reference_folder, write_results
from regmix import regmix
from scipy.stats import spearmanr

from mixlaw.laws import LAWS

TARGET = "pile_cc"
PUBLISHED = {"linear": 90.08, "trees": 98.45}
"""Rank correlations at 1M parameters: linear regression, and LightGBM, stopped early by a look at the test runs."""

KINDS = ("linear", "trees", "exponential", "reciprocal")


def rank_correlations() -> str:
    """Spearman's rank correlation of predicted and measured losses, in percent, and the error."""
    train, test = regmix(reference_folder())
    column = train.targets.index(TARGET)
    measured = test.losses[:, column]
    rows: list[list[str | float]] = []
    for kind in KINDS:
        begun = time.process_time()
        law = LAWS[kind].fit(train.domains, (TARGET,), train.proportions, train.losses[:, column : column + 1]).law
        predicted = law.predict(test.proportions)[:, 0]
        ranked = 100 * float(spearmanr(predicted, measured).statistic)
        error = float(np.sqrt(np.mean((predicted - measured) ** 2)))
        published = f"{PUBLISHED[kind]:.2f}" if kind in PUBLISHED else ""
        rows.append([kind, published, f"{ranked:.2f}", error, f"{time.process_time() - begun:.1f} s"])
    return markdown(["law", "published rank correlation", "here", "RMSE", "CPU time"], rows)


if __name__ == "__main__":
    text = [
        "# Other systems' predictors on their runs",
        "## RegMix, 512 runs at 1M parameters, Pile-CC loss of 256 others",
        rank_correlations(),
    ]
    print("\n\n".join(text))
    write_results("migration.md", text)
