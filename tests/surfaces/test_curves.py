"""Run tables as training curves."""

import numpy as np
import pandas as pd
import pytest

from mixlaw.runs import check_runs
from mixlaw.surfaces.curves import MOST_CHECKPOINTS, distinct, mean_at_size, same_scale, training_curves


def frame(checkpoints: int = 5) -> pd.DataFrame:
    rows = [
        {"run": run, "params": params, "tokens": 1e9 * (1 + place), "mix.a": share, "mix.b": 1 - share}
        | {"loss.x": 3 + share + 1 / (1 + place)}
        for run, params, share in (("r2", 1e7, 0.25), ("r10", 1e7, 0.25), ("r1", 1e8, 0.75))
        for place in range(checkpoints)
    ]
    return pd.DataFrame(rows)


def test_runs_and_checkpoints_are_in_an_order_of_their_own() -> None:
    plain = training_curves(check_runs(frame()))
    mixed = training_curves(check_runs(frame().sample(frac=1, random_state=0)))
    assert plain.names == mixed.names == ("r1", "r10", "r2")
    assert np.array_equal(plain.losses, mixed.losses)
    assert np.array_equal(plain.tokens, mixed.tokens)
    assert (np.diff(plain.tokens, axis=1) > 0).all()
    assert plain.losses[0, 0, 0] == 3 + 0.75 + 1


def test_a_measurement_logged_twice_counts_once_at_its_later_tokens() -> None:
    logged = frame()
    again = logged[logged["tokens"] == 5e9].assign(tokens=5.002e9)
    curves = training_curves(check_runs(pd.concat([logged, again], ignore_index=True)))
    assert curves.losses.shape[1] == 5
    assert (curves.tokens[:, -1] == 5.002e9).all()


def test_shorter_runs_are_blank_past_their_end() -> None:
    short = frame()[lambda table: (table["run"] != "r2") | (table["tokens"] < 2.5e9)]
    curves = training_curves(check_runs(short))
    assert curves.checkpoints[:, 0].tolist() == [5, 5, 2]
    assert np.isnan(curves.losses[2, 2:]).all()
    assert np.isnan(curves.tokens[2, 2:]).all()


def test_of_a_run_logged_all_the_time_ends_and_equal_ratios_are_kept() -> None:
    curves = training_curves(check_runs(frame(checkpoints=3000)))
    assert curves.tokens.shape[1] <= MOST_CHECKPOINTS
    assert curves.tokens[0, 0] == 1e9
    assert np.nanmax(curves.tokens[0]) == 3000e9
    tail = np.log(curves.tokens[0][curves.tokens[0] > 1e11])
    assert np.diff(tail[np.isfinite(tail)]).max() < 0.16


def test_values_within_a_percent_are_one() -> None:
    assert distinct(np.array([1.0, 1.005, 2.0, np.nan, 1.02])).tolist() == [1.0, 1.02, 2.0]
    assert same_scale(np.array([0.992, 1.02]), 1.0).tolist() == [True, False]


def test_repeats_are_averaged_and_missing_mixtures_are_blank() -> None:
    losses = np.array([[1.0], [3.0], [np.nan], [5.0]])
    mean = mean_at_size(losses, np.array([0, 0, 0, 1]), np.array([True, True, True, False]), 2)
    assert mean[0, 0] == pytest.approx(2.0)
    assert np.isnan(mean[1, 0])
