"""A fitted law, and random programs: those are shared with the benchmark, so that tests protect what it claims."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.runs import check_runs

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

SLOPES = {"code": (0.1, -2.0, 0.3), "web": (-0.4, 0.2, -1.0)}


@pytest.fixture(scope="session")
def law() -> Law:
    """Fitted to 24 runs of exponential laws of two targets in books, code and web, with noise of 0.01 nats."""
    random = np.random.default_rng(0)
    mixtures = random.dirichlet(np.full(3, 0.7), 24)
    frame = pd.DataFrame(mixtures, columns=["mix.books", "mix.code", "mix.web"])
    for target, slopes in SLOPES.items():
        frame[f"loss.{target}"] = 1.9 + np.exp(mixtures @ slopes) + 0.01 * random.standard_normal(24)
    frame["run"], frame["params"], frame["tokens"] = frame.index.astype(str), 1_000_000, 10_000_000
    return fit(check_runs(frame), "exponential")
