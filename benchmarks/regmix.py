"""The RegMix runs (Liu et al. 2024, arXiv 2407.01492): 512 to fit, 256 to predict, 13 targets, 17 domains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixlaw.mixture import Array
from mixlaw.runs import read_runs

SEEDS = 5


@dataclass(frozen=True)
class Swarm:
    """Proportions (n, M) and losses (n, V) of runs."""

    domains: tuple[str, ...]
    targets: tuple[str, ...]
    proportions: Array
    losses: Array

    def draw(self, count: int, seed: int) -> "Swarm":
        """`count` of the runs, drawn without replacement; all of them in their order if there are no more."""
        if count >= len(self.losses):
            return self
        rows = np.random.default_rng(seed).choice(len(self.losses), count, replace=False)
        return Swarm(self.domains, self.targets, self.proportions[rows], self.losses[rows])


def regmix(folder: Path) -> tuple[Swarm, Swarm]:
    """The runs to fit and those to predict."""
    tables = (read_runs(folder / f"regmix_{part}_1m.csv") for part in ("train", "test"))
    train, test = (Swarm(table.domains, table.targets, table.proportions, table.losses) for table in tables)
    return train, test
