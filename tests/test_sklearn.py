"""Laws in the manner of scikit-learn: its own checks, and the same numbers as the package's own way."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixlaw.fitting.fit import fit
from mixlaw.mixture import Array, groups_of
from mixlaw.runs import check_runs
from mixlaw.sklearn import MixingLawRegressor

Planted = Callable[..., pd.DataFrame]

EXPECTED = {
    "check_estimators_dtypes": "a row of its integers is all 0, which is no mixture",
    "check_regressor_multioutput": "its losses are negative, whatever the tags say",
}
"""Checks that cannot hold for a law of mixtures, and why."""


@parametrize_with_checks(
    [MixingLawRegressor(kind, renormalise=True) for kind in ("linear", "exponential", "reciprocal")],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_scikit_learn_accepts_the_estimator(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def runs(planted: Planted) -> tuple[pd.DataFrame, Array, pd.DataFrame]:
    """Mixtures, losses, and the table they are of."""
    frame = planted(runs=24, noise=0.01)
    mixtures = frame.filter(like="mix.").rename(columns=lambda name: name.removeprefix("mix."))
    mixtures = mixtures[sorted(mixtures)]
    return mixtures, frame[["loss.code", "loss.web"]].to_numpy(), frame


def test_predictions_and_intervals_are_those_of_the_package(runs: tuple[pd.DataFrame, Array, pd.DataFrame]) -> None:
    mixtures, losses, frame = runs
    estimator = MixingLawRegressor("exponential").fit(mixtures, losses)
    at = fit(check_runs(frame), "exponential").at()
    assert estimator.law_.domains == at.law.domains
    assert np.allclose(estimator.predict(mixtures), at.law.predict(mixtures.to_numpy()), atol=1e-9)
    low, high = estimator.predict_interval(mixtures, 0.8)
    assert np.allclose((high - low) / 2, at.uncertainty.half_width(mixtures.to_numpy(), 0.8), rtol=1e-6)


def test_one_target_is_predicted_as_a_vector(runs: tuple[pd.DataFrame, Array, pd.DataFrame]) -> None:
    mixtures, losses, _ = runs
    estimator = MixingLawRegressor("linear").fit(mixtures, losses[:, 0])
    assert estimator.predict(mixtures).shape == (24,)
    assert all(end.shape == (24,) for end in estimator.predict_interval(mixtures))


def test_a_search_over_laws_in_a_pipeline_finds_the_planted_one(
    runs: tuple[pd.DataFrame, Array, pd.DataFrame],
) -> None:
    mixtures, losses, _ = runs
    pipeline = make_pipeline(FunctionTransformer(), MixingLawRegressor())
    grid = {"mixinglawregressor__kind": ["linear", "exponential"]}
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(4)).fit(mixtures, losses, groups=groups_of(mixtures.to_numpy()))
    assert search.best_params_ == {"mixinglawregressor__kind": "exponential"}
    scores = cross_val_score(search.best_estimator_, mixtures, losses, cv=GroupKFold(4), groups=range(24))
    assert scores.min() > 0.9


@pytest.mark.parametrize(
    ("rows", "losses", "message"),
    [
        ([[0.5, 0.6], [0.5, 0.5]], [1.0, 2.0], "row 0 of X sums to 1.1, not 1"),
        ([[0.5, 0.5], [-0.5, 1.5]], [1.0, 2.0], "row 1 of X holds -0.5"),
        ([[0.5, 0.5], [0.4, 0.6]], [1.0, -2.0], "y holds -2"),
        ([[0.5, 0.5], [0.4, 0.6]], [1.0, 2.0], "different mixture"),
    ],
)
def test_what_are_no_mixtures_or_losses_is_refused(rows: list[list[float]], losses: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixingLawRegressor().fit(np.array(rows), np.array(losses))


def test_an_unknown_law_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'exponential'"):
        MixingLawRegressor("exponentail").fit(np.eye(3), np.ones(3))


def test_nothing_else_of_the_package_imports_the_estimator() -> None:
    package = Path(__file__).parents[1] / "mixlaw"
    others = [module for module in package.rglob("*.py") if module.name != "sklearn.py"]
    imports = re.compile(
        r"^\s*(from mixlaw\.sklearn import|import mixlaw\.sklearn|from mixlaw import .*\bsklearn\b)", re.MULTILINE
    )
    assert not [module for module in others if imports.search(module.read_text())]
