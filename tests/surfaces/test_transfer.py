"""Many small runs and a few large ones."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.runs import check_runs
from mixlaw.surfaces.transfer import Transfer

LAW = LAWS["exponential"]
Planted = Callable[..., pd.DataFrame]


def _both(
    planted: Planted, large_runs: int, noise: float = 0.0, slope: float = 0.8
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """48 small runs with `large_runs` others of losses 0.5 + slope x small at 100 times the size; the rest of those."""
    frame = planted(runs=100, seed=3)
    losses = [name for name in frame if name.startswith("loss.")]
    large = frame.iloc[48:].copy()
    random = np.random.default_rng(0)
    large[losses] = 0.5 + slope * large[losses] + noise * random.standard_normal((len(large), len(losses)))
    large["params"], large["run"] = large["params"] * 100, "large-" + large["run"]
    return pd.concat([frame.iloc[:48], large.iloc[:large_runs]], ignore_index=True), large.iloc[large_runs:]


def test_exact_affine_losses_are_predicted_on_mixtures_never_run_large(planted: Planted) -> None:
    runs, unseen = _both(planted, large_runs=8)
    surface = Transfer.fit(check_runs(runs), LAW)
    assert surface.slope == pytest.approx(0.8, abs=1e-3)
    rest = check_runs(unseen)
    assert surface.at().fit.law.predict(rest.proportions) == pytest.approx(rest.losses, abs=1e-3)


def test_eight_large_runs_predict_better_with_the_small_ones_than_alone(planted: Planted) -> None:
    runs, unseen = _both(planted, large_runs=8, noise=0.02)
    rest = check_runs(unseen)
    errors = Transfer.fit(check_runs(runs), LAW).at().fit.law.predict(rest.proportions) - rest.losses
    few = check_runs(runs[runs["run"].str.startswith("large")])
    alone = LAW.fit(few.domains, few.targets, few.proportions, few.losses).law.predict(rest.proportions) - rest.losses
    assert (errors**2).mean() < 0.8 * (alone**2).mean()
    assert np.sqrt((errors**2).mean()) < 0.035


def test_the_slope_is_nearer_one_than_that_of_a_plain_line(planted: Planted) -> None:
    runs, _ = _both(planted, large_runs=5, noise=0.3)
    table = check_runs(runs)
    small, large = table.where(table.params < 1e7), table.where(table.params > 1e7)
    predicted = LAW.fit(small.domains, small.targets, small.proportions, small.losses).law.predict(large.proportions)
    plain = [np.polyfit(x, y, 1)[0] for x, y in zip(predicted.T, large.losses.T, strict=True)]
    slope = Transfer.fit(table, LAW).slope
    assert (np.abs(slope - 1) < np.abs(np.array(plain) - 1)).all()


def test_only_the_large_scale_is_known(planted: Planted) -> None:
    surface = Transfer.fit(check_runs(_both(planted, large_runs=8)[0]), LAW)
    assert surface.at(params=1e8).losses.shape == (56, 2)
    with pytest.raises(Refused, match="knows one scale, 100M params and 10M tokens"):
        surface.at(params=1e9)


def test_one_size_and_too_few_large_runs_are_refused(planted: Planted) -> None:
    with pytest.raises(Refused, match="one size, 1M params"):
        Transfer.fit(check_runs(planted()), LAW)
    with pytest.raises(Refused, match=r"in 2 runs at 100M params.*at least 3"):
        Transfer.fit(check_runs(_both(planted, large_runs=2)[0]), LAW)
