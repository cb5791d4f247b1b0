"""Surfaces are chosen by the runs they had not seen."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.choose_scale import CANDIDATES, choose_scale, is_one_scale, longest_shared
from mixlaw.fitting.fit import fit
from mixlaw.laws import LAWS
from mixlaw.runs import check_runs
from mixlaw.surfaces import SURFACES
from mixlaw.surfaces.backtest import Backtest
from mixlaw.surfaces.base import Surface

Planted = Callable[..., pd.DataFrame]
SCALES = tuple((params, tokens) for params in (10**6, 2 * 10**6, 4 * 10**6) for tokens in range(10**7, 10**8, 10**7))


def backtest(params_ratio: float, tokens_ratio: float, rmse: float, spread: float = 0.0) -> Backtest:
    errors = rmse + spread * np.array([-1.0, 0.0, 1.0])
    return Backtest(params_ratio, tokens_ratio, np.zeros(3), errors, 10)


def test_one_scale_is_told_from_several(planted: Planted) -> None:
    assert is_one_scale(check_runs(planted(runs=4)))
    assert not is_one_scale(check_runs(planted(runs=4, scales=SCALES[:2])))
    assert not is_one_scale(check_runs(planted(runs=4, scales=((10**6, 10**7), (2 * 10**6, 10**7)))))


def test_surfaces_are_compared_at_the_longest_horizon_that_all_of_them_have() -> None:
    first = (backtest(2, 1, 0.1), backtest(2, 2.5, 0.2), backtest(1, 2.5, 0.3))
    second = (backtest(1, 2.5, 0.4), backtest(2.05, 1, 0.5))
    shared = longest_shared([first, second])
    assert shared is not None and [each.rmse[0] for each in shared] == [0.3, 0.4]
    assert longest_shared([first, ()]) is None and longest_shared([(), second]) is None


@pytest.mark.parametrize(
    ("preferred", "other", "chosen"),
    [(0.05, 0.02, 1), (0.05, 0.04, 0), (0.02, 0.05, 0)],
    ids=["far better", "better", "worse"],
)
def test_another_surface_is_taken_only_if_it_is_far_better(
    preferred: float, other: float, chosen: int, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = check_runs(planted(runs=4, scales=SCALES))

    def backtested(error: float) -> type[Surface]:
        class Known(SURFACES["none"]):  # type: ignore[misc]
            backtests = (backtest(1, 2, error, spread=0.002),)

        return Known

    for scale, error in zip(CANDIDATES, (preferred, other), strict=True):
        monkeypatch.setitem(SURFACES, scale, backtested(error))
    surface, found = choose_scale(table, LAWS["exponential"])
    assert surface.backtests[0].rmse[1] == (preferred, other)[chosen]  # type: ignore[attr-defined]
    assert [candidate.rmse for candidate in found] == [pytest.approx(preferred), pytest.approx(other)]


def test_a_planted_surface_is_carried_and_its_backtests_are_kept(planted: Planted) -> None:
    law = fit(check_runs(planted(runs=8, noise=0.002, scales=SCALES)), law="exponential")
    assert law.scale == "pooled"
    pooled, nested = law.diagnostics.scales
    assert (pooled.scale, nested.scale) == ("pooled", "nested")
    assert pooled.rmse is not None and pooled.rmse < 0.05
    named = fit(check_runs(planted(runs=8, noise=0.002, scales=SCALES)), law="exponential", scale="nested")
    assert named.scale == "nested" and named.diagnostics.scales == (nested,)


def test_a_surface_with_a_law_of_its_own_refuses_another(planted: Planted) -> None:
    table = check_runs(planted(runs=6, scales=SCALES))
    with pytest.raises(Refused, match="brings its own law of the mixture; leave --law exponential out"):
        fit(table, law="exponential", scale="chinchilla")
