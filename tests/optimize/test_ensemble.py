"""A robust optimum is the least of the largest loss over refits, certified like the rest."""

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.law import Law
from mixlaw.limits import Limits
from mixlaw.optimize.ensemble import Ensemble, refitted
from mixlaw.optimize.find import optimize

WEIGHTS = {"code": 3.0, "web": 1.0}


def largest(law: Law, proportions: np.ndarray) -> np.ndarray:
    """(n,) the weighted loss by whichever refit says the most."""
    return np.max([each.predict(proportions) @ np.array([0.75, 0.25]) for each in refitted(law.at())], axis=0)


def test_the_first_law_is_the_fit_itself_and_the_rest_leave_mixtures_out(law: Law) -> None:
    laws = refitted(law.at())
    assert laws[0] is law.at().law or np.array_equal(laws[0].predict(np.eye(3)), law.at().law.predict(np.eye(3)))
    assert len(laws) == 11
    assert all(not np.array_equal(each.predict(np.eye(3)), laws[0].predict(np.eye(3))) for each in laws[1:])


def test_an_ensemble_is_its_laws_side_by_side(law: Law) -> None:
    laws = refitted(law.at())
    both, at = Ensemble.of(laws), np.array([0.2, 0.5, 0.3])
    weights = np.random.default_rng(0).random(len(both.targets))
    assert both.targets[:2] == law.targets and len(set(both.targets)) == 22
    assert np.array_equal(both.predict(at[None])[0, 4:6], laws[2].predict(at[None])[0])
    found = both.curvature(at, weights)
    expected = np.zeros((3, 3))
    for number, each in enumerate(laws):
        part = each.curvature(at, weights[2 * number : 2 * number + 2])
        expected += part.root.T @ part.root + np.diag(part.diagonal)
    assert found.root.T @ found.root + np.diag(found.diagonal) == pytest.approx(expected)
    assert both.slope(at).shape == (22, 3) and both.convex.all()


def test_no_mixture_of_a_grid_is_better_by_its_worst_law(law: Law) -> None:
    limits = Limits.of(law.domains, caps={"code": 0.45})
    found = optimize(law, objective="robust", limits=limits, weights=WEIGHTS)
    mixture = np.array([found.mixture.proportions])
    assert found.certified and found.objective == "robust"
    assert found.objective_value == pytest.approx(largest(law, mixture)[0], abs=1e-12)
    grid = np.array([(i, j, 60 - i - j) for i in range(61) for j in range(61 - i)]) / 60
    allowed = grid[grid[:, 1] <= 0.45]
    assert found.objective_value <= largest(law, allowed).min() + 1e-9
    assert found.lower_bound is not None and found.lower_bound <= largest(law, allowed).min()


def test_the_loss_is_still_the_laws_own(law: Law) -> None:
    plain, robust = optimize(law), optimize(law, objective="robust")
    assert robust.loss == pytest.approx(np.mean(list(robust.losses.values())))
    assert plain.loss <= robust.loss <= robust.objective_value + 1e-12
    assert robust.baselines["uniform"].probability_better is not None


def test_loss_limits_are_those_of_the_law_itself(law: Law) -> None:
    bound = optimize(law).losses["web"] - 0.03
    found = optimize(law, objective="robust", at_most={"web": bound})
    assert found.losses["web"] <= bound + 1e-9


def test_a_discount_and_a_robust_objective_exclude_each_other(law: Law) -> None:
    with pytest.raises(Refused, match="leave one of them"):
        optimize(law, objective="robust", discount_repeats=True)
