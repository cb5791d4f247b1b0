"""Checkpoints of young models: how much they are off the curve is asked of the runs."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from mixlaw.runs import RunTable, check_runs
from mixlaw.surfaces.curves import training_curves
from mixlaw.surfaces.shared_curve import PRIOR_OF_TERMS, Cells, Rows, SharedCurve, fit_shared_curve
from mixlaw.surfaces.youth import cells_by_youth, evidence

SIZES, TOKENS = (1e6, 3e6, 1e7), (1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9)
NOISE = np.array([0.01])


def rows(transient: float, seed: int = 0) -> Rows:
    """Six mixtures on one curve, and a transient that fades with the square of tokens; large models have more."""
    random = np.random.default_rng(seed)
    places = np.array(list(product(range(6), SIZES, TOKENS)))
    mixture, params, tokens = places[:, 0].astype(np.int64), places[:, 1], places[:, 2]
    loss = 2 + 0.5 * (params / 1e7) ** -0.25 + 0.6 * (tokens / 3.2e9) ** -0.4 + 0.1 * mixture
    early = transient * (TOKENS[0] / tokens) ** 2 * (params / 1e6) ** 0.2
    losses = (loss + early + 0.01 * random.standard_normal(len(loss)))[:, None]
    return Rows(np.arange(len(loss)) // len(TOKENS), mixture, params, tokens, losses, settled=True)


def curve_of(cells: Cells) -> SharedCurve:
    return fit_shared_curve(cells, interaction=True, shared_exponents=True)


def settled(found: Rows) -> tuple[Cells, SharedCurve]:
    cells = cells_by_youth(found, np.ones_like(found.losses), NOISE, curve_of)
    return cells, curve_of(cells)


def test_a_transient_early_in_training_does_not_bend_what_lies_beyond_the_runs() -> None:
    found = rows(transient=1.6)
    truth = 0.6 * (1 - 4**-0.4)
    plain = curve_of(Cells.of(found, np.ones_like(found.losses), NOISE))
    _, robust = settled(found)
    off = [abs(float((curve.at(1e7, 3.2e9) - curve.at(1e7, 1.28e10))[0, 0]) - truth) for curve in (plain, robust)]
    assert off[0] > 0.1
    assert off[1] < 0.5 * off[0]


def test_runs_on_the_curve_from_their_first_checkpoint_are_all_believed() -> None:
    found = rows(transient=0.0)
    cells, _ = settled(found)
    assert np.diag(cells.shared).max() < 0.05**2


def test_the_evidence_is_the_probability_of_the_losses_of_cells() -> None:
    found = rows(transient=0.3)
    few = found.mixture == 0
    alone = Rows(*(getattr(found, name)[few] for name in ("run", "mixture", "params", "tokens", "losses")))
    weights = np.ones_like(alone.losses)
    differences, expected = [], []
    for youth in (0.0, 0.01):
        cells = Cells.of(alone, weights, NOISE, youth)
        curve = replace(curve_of(cells), size_exponent=np.array([0.25]), token_exponent=np.array([0.6]))
        slopes = curve.features(alone.params, alone.tokens)[:, 0] * np.array(PRIOR_OF_TERMS)
        of_row = cells.shared[np.ix_(cells.of_row, cells.of_row)]
        covariance = slopes @ slopes.T + of_row + 4.0**2 + NOISE[0] ** 2 * np.eye(len(of_row))
        differences.append(evidence(cells, curve))
        expected.append(multivariate_normal(np.zeros(len(of_row)), covariance).logpdf(alone.losses[:, 0]))
    assert np.diff(differences) == pytest.approx(np.diff(expected), abs=0.01)


def test_one_token_count_says_nothing_of_youth() -> None:
    found = rows(transient=0.0)
    last = found.tokens == TOKENS[-1]
    alone = Rows(*(getattr(found, name)[last] for name in ("run", "mixture", "params", "tokens", "losses")))
    cells, _ = settled(alone)
    assert np.diag(cells.shared) == pytest.approx(2 * 0.01**2 + 0.005**2)


def run_table(kind: str | None, checkpoints: int) -> RunTable:
    table = [
        {"run": f"r{number}", "params": 1e6, "tokens": 1e8 * 2**place, "mix.a": share, "mix.b": 1 - share}
        | {"loss.x": 3 - 0.1 * place + share}
        | ({} if kind is None else {"kind": kind})
        for number, share in enumerate((0.2, 0.5, 0.8))
        for place in range(checkpoints)
    ]
    return check_runs(pd.DataFrame(table))


@pytest.mark.parametrize(
    ("kind", "checkpoints", "expected"),
    [("read-out", 3, 0.33), ("decayed", 1, 0.33), (None, 1, 0.33), (None, 3, 0.6), ("mid-schedule", 3, 0.6)],
)
def test_finished_runs_are_expected_to_fall_as_published_laws_of_finished_runs(
    kind: str | None, checkpoints: int, expected: float
) -> None:
    found = Rows.of(training_curves(run_table(kind, checkpoints)))
    assert Cells.of(found, np.ones_like(found.losses), NOISE).token_exponent[0] == expected
