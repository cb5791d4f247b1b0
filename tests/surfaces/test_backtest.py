"""Predicting the largest scale measured from smaller ones."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.mixture import Array
from mixlaw.runs import RunTable, check_runs
from mixlaw.surfaces.backtest import UNTRIED, Backtest, backtests, scale_error
from mixlaw.surfaces.curves import training_curves

NO_FALL = np.zeros(1)


def table(sizes: tuple[float, ...], tokens: tuple[float, ...]) -> RunTable:
    rows = [
        {"run": f"{params:g}-{number}", "params": params, "tokens": count, "mix.a": number / 4, "mix.b": 1 - number / 4}
        | {"loss.x": 2 + number / 10 + 1e9 / count, "loss.y": 3 - number / 10 + 1e9 / count}
        for number, params, count in product(range(5), sizes, tokens)
    ]
    return check_runs(pd.DataFrame(rows))


@dataclass
class Off:
    """Says the right losses plus what it was built to be off by."""

    proportions: Array
    by: Array

    def losses_at(self, params: float, tokens: float) -> Array:
        number = 4 * self.proportions[:, :1]
        return np.hstack([2 + number / 10, 3 - number / 10]) + 1e9 / tokens + self.by


def off_by(*by: float):
    return lambda part: Off(training_curves(part).proportions, np.array(by))


TOKENS = tuple(float(count) for count in range(10**9, 11 * 10**9, 10**9))


def test_bias_and_rmse_are_those_of_predicted_minus_measured() -> None:
    for test in backtests(table((1e7, 1e8, 1e9), TOKENS), off_by(0.03, -0.01)):
        assert test.bias == pytest.approx([0.03, -0.01])
        assert test.rmse == pytest.approx([0.03, 0.01])
        assert test.runs == 5


def test_every_cut_holds_out_what_it_says_and_nothing_of_it_is_fitted() -> None:
    runs = table((1e7, 1e8, 1e9), TOKENS)
    seen: list[tuple[float, float]] = []

    def fit(part: RunTable) -> Off:
        seen.append((float(part.params.max()), float(part.tokens.max())))
        return off_by(0.0, 0.0)(part)

    found = backtests(runs, fit)
    assert len(found) == len(seen) == 6
    for test, (params, tokens) in zip(found, seen, strict=True):
        assert (test.params_ratio, test.tokens_ratio) == (1e9 / params, 1e10 / tokens)
        assert test.horizon > 0


def test_the_held_out_end_is_where_half_of_the_largest_runs_are() -> None:
    frame = table((1e8,), TOKENS).frame
    short = frame["run"].isin(["1e+08-0", "1e+08-1"]) & (frame["tokens"] > 6e9)
    assert backtests(check_runs(frame[~short]), off_by(0.01, 0.01))[0].runs == 3
    shorter = frame["run"].isin(["1e+08-0", "1e+08-1", "1e+08-2"]) & (frame["tokens"] > 6e9)
    assert backtests(check_runs(frame[~shorter]), off_by(0.01, 0.01))[0].runs == 5


def test_runs_that_end_at_tokens_of_their_own_are_each_predicted_there() -> None:
    frame = table((1e7, 1e8), TOKENS).frame
    frame["tokens"] = frame["tokens"] * (1 + 0.01 * frame["run"].str[-1].astype(float))
    frame["loss.x"] = 2 + 0.4 * frame["mix.a"] + 1e9 / frame["tokens"]
    frame["loss.y"] = 3 - 0.4 * frame["mix.a"] + 1e9 / frame["tokens"]
    found = backtests(check_runs(frame), off_by(0.02, 0.02))
    assert len(found) == 4
    assert max(test.tokens_ratio for test in found) == pytest.approx(2.5, rel=0.05)
    assert all(test.rmse == pytest.approx([0.02, 0.02]) for test in found)


def test_small_runs_that_went_on_for_longer_leave_no_ratio_below_one() -> None:
    frame = table((1e7, 1e8), TOKENS).frame
    found = backtests(check_runs(frame[(frame["params"] < 1e8) | (frame["tokens"] <= 5e9)]), off_by(0.0, 0.0))
    assert all(test.params_ratio >= 1 and test.tokens_ratio >= 1 and test.horizon > 0 for test in found)


def test_a_cut_that_is_refused_is_no_backtest() -> None:
    def fit(part: RunTable) -> Off:
        if part.params.max() < 1e9:
            raise Refused("needs the largest size")
        return off_by(0.0, 0.0)(part)

    found = backtests(table((1e7, 1e8, 1e9), TOKENS), fit)
    assert [test.params_ratio for test in found] == [1.0, 1.0]


def test_one_size_with_few_checkpoints_admits_none_and_that_is_said() -> None:
    assert backtests(table((1e8,), TOKENS[:3]), off_by(0.0, 0.0)) == ()
    error, said = scale_error((), 2.0, 1.0, np.zeros(2))
    assert (error == 0).all()
    assert "no backtest is possible at 2 times the params" in said[0]


def _test(params_ratio: float, tokens_ratio: float, *bias: float) -> Backtest:
    return Backtest(params_ratio, tokens_ratio, np.array(bias), np.abs(np.array(bias)), 5)


def test_the_shortest_backtest_that_reaches_as_far_is_taken_as_it_is() -> None:
    tests = (_test(2, 1, 0.1), _test(2, 3, 0.2), _test(4, 4, 0.4), _test(1, 3, 0.05))
    assert scale_error(tests, 2.0, 3.0, NO_FALL) == (pytest.approx([0.2]), ())
    assert scale_error(tests, 1.0, 2.8, NO_FALL) == (pytest.approx([0.05]), ())


def test_a_shorter_backtest_is_stretched_to_the_horizon_and_that_is_said() -> None:
    error, said = scale_error((_test(2, 1, 0.1),), 4.0, 1.0, NO_FALL)
    assert error == pytest.approx([0.2])
    assert "no backtest reaches 4 times the params" in said[0]
    assert "2 times the params, is stretched" in said[0]


def test_of_backtests_that_fall_short_alike_the_one_of_the_horizon_most_like_that_asked_for_is_taken() -> None:
    tests = (_test(1, 655, 0.2), _test(1, 25, 0.01), _test(1, 1.5, 0.002))
    error, said = scale_error(tests[:2], 3.3, 2.0, NO_FALL)  # both reach as far in tokens, neither in size
    assert error == pytest.approx([0.01]) and "25 times the tokens" in said[0]


def test_tokens_that_no_backtest_tries_cost_a_share_of_the_fall_predicted_for_them() -> None:
    sizes = (_test(7.5, 1, 0.1, 0.1), _test(2.1, 1, 0.08, 0.08))
    fall = np.array([0.4, np.nan])
    error, said = scale_error(sizes, 2.0, 4.0, fall)
    assert error == pytest.approx([np.hypot(0.1, UNTRIED * 0.4), 0.1])
    assert "none tries more tokens" in said[0] and "stretched" not in said[0]
    assert scale_error(sizes, 1.0, 4.0, fall)[0] == pytest.approx([UNTRIED * 0.4, 0.0])
    assert scale_error((), 2.0, 4.0, fall)[0] == pytest.approx([UNTRIED * 0.4, 0.0])
    assert scale_error((*sizes, _test(1, 2, 0.01, 0.01)), 1.0, 4.0, fall)[0] == pytest.approx([0.02, 0.02])
    assert "none tries" not in scale_error(sizes, 16.0, 1.0, fall)[1][0]


def test_a_target_that_was_hit_by_luck_is_not_trusted_alone() -> None:
    error, _ = scale_error((_test(2, 1, 0.0, 0.1),), 2.0, 1.0, np.zeros(2))
    assert error[0] == pytest.approx(0.05)
    assert 0.05 < error[1] < 0.1


def test_inside_the_runs_nothing_is_extrapolated() -> None:
    error, said = scale_error((_test(2, 1, 0.1),), 1.0, 1.0, NO_FALL)
    assert (error == 0).all()
    assert said == ()


def test_a_backtest_survives_json() -> None:
    test = Backtest(2.0, 1.5, np.array([0.1, np.nan]), np.array([0.2, np.nan]), 3)
    again = Backtest.from_parameters(test.parameters())
    assert again.parameters() == test.parameters()
    assert np.isnan(again.bias[1])
