"""The next batch: where it lies, what it lowers, and when to stop."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mixlaw.batch import _after_running, next_batch, rivals_of
from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.limits import Limits
from mixlaw.runs import check_runs

Planted = Callable[..., pd.DataFrame]


def law(planted: Planted, runs: int = 16, noise: float = 0.02, seed: int = 0) -> Law:
    return fit(check_runs(planted(runs, noise, seed)), "exponential")


def true_loss(mixtures: np.ndarray) -> np.ndarray:
    """The planted law of (web, code, books) without what no mixture changes, over targets equally."""
    return np.exp(mixtures @ np.array([[-1.0, 0.2, -0.4], [0.3, -2.0, 0.1]]).T).mean(axis=1)


def test_half_may_be_the_best_and_the_rest_are_where_the_law_is_least_sure_near_it(planted: Planted) -> None:
    found = next_batch(law(planted, 10, 0.05), 8)
    assert list(found.mixtures) == [f"after10-{number:02d}" for number in range(1, 9)]
    assert found.towards == tuple(found.mixtures)[:4]
    rows = np.array([mixture.proportions for mixture in found.mixtures.values()])
    apart = np.abs(rows[:, None] - rows[None]).sum(-1) / 2 + np.eye(8)
    assert apart.min() > 0.0198
    best = np.array(found.optimum.proportions)
    assert np.abs(rows[4:] - best).max() <= 0.3 + 1e-3


def test_a_batch_keeps_the_limits_of_the_target_and_of_the_proxies(planted: Planted) -> None:
    fitted = law(planted)
    limits = Limits.of(fitted.domains, caps={"code": 0.2})
    reach = Limits.of(fitted.domains, caps={"code": 0.4})
    found = next_batch(fitted, 8, limits=limits, reach=reach)
    shares = {name: mixture.as_dict()["code"] for name, mixture in found.mixtures.items()}
    assert max(shares[name] for name in found.towards) <= 0.2 < max(shares.values()) <= 0.4


def test_the_same_seed_gives_the_same_batch_and_limits_may_come_in_any_order(planted: Planted) -> None:
    fitted = law(planted)
    backwards = Limits.simplex(fitted.domains[::-1])
    assert next_batch(fitted, seed=1).mixtures == next_batch(fitted, limits=backwards, seed=1).mixtures
    assert next_batch(fitted, seed=1).mixtures != next_batch(fitted, seed=2).mixtures


def test_running_a_mixture_lowers_the_covariance_as_conditioning_says() -> None:
    loadings = np.random.default_rng(0).standard_normal((3, 6, 4))
    after = _after_running(loadings, 2)
    before = loadings @ loadings.transpose(0, 2, 1)
    conditioned = before - before[:, :, [2]] @ before[:, [2], :] / (1 + before[:, [2], [2]][:, :, None])
    assert after @ after.transpose(0, 2, 1) == pytest.approx(conditioned, abs=1e-12)


def test_the_expected_regret_falls_with_runs_and_says_when_to_stop(planted: Planted) -> None:
    few, many = (next_batch(law(planted, runs, 0.05)) for runs in (8, 64))
    exact = next_batch(law(planted, 24, 1e-6))
    assert few.regret.expected > 2 * many.regret.expected > 0
    assert not few.done and exact.done and exact.regret.inflated < 1e-6
    assert next_batch(law(planted, 64, 0.05), enough=1e-9).done is False


def test_the_inflated_regret_bounds_the_true_one(planted: Planted) -> None:
    least, below = true_loss(np.random.default_rng(0).dirichlet([1, 1, 1], 50_000)).min(), 0
    for seed in range(6):
        fitted = law(planted, 12, 0.03, seed)
        found = next_batch(fitted)
        regret = true_loss(found.optimum.aligned(["web", "code", "books"])[None])[0] - least
        below += regret <= found.regret.inflated
    assert below >= 5


def test_a_law_that_knows_only_one_target_matters_asks_for_that_targets_mixtures(planted: Planted) -> None:
    found = next_batch(law(planted), weights={"code": 1})
    assert found.optimum.as_dict()["code"] > 0.9
    assert all(found.mixtures[name].as_dict()["code"] > 0.6 for name in found.towards)


def test_a_straight_line_is_sure_of_its_corner_until_a_curve_is_asked(planted: Planted) -> None:
    table = check_runs(planted(12, 0.05))
    line, curve = fit(table, "linear"), fit(table, "exponential")
    assert next_batch(line).regret.expected < 1e-6
    asked = next_batch(line, rivals=[curve])
    assert asked.optimum == next_batch(line).optimum and asked.regret.expected > 1e-3


def test_rivals_are_the_kinds_that_cross_validation_could_not_tell_from_the_best(planted: Planted) -> None:
    table = check_runs(planted(16, 0.05))
    chosen = fit(table)
    equal = {c.kind for c in chosen.diagnostics.candidates if c.behind is not None and c.behind <= (c.doubt or 0)}
    assert {rival.kind for rival in rivals_of(chosen, table)} == equal - {chosen.kind} != set()


def test_a_batch_that_cannot_be_is_refused(planted: Planted) -> None:
    fitted = law(planted)
    with pytest.raises(Refused, match="a batch of 0"):
        next_batch(fitted, 0)
    with pytest.raises(Refused, match="enough is 0"):
        next_batch(fitted, enough=0)
    pinned = Limits.of(fitted.domains, floors={"web": 0.3, "code": 0.3, "books": 0.4})
    with pytest.raises(Refused, match="only 1 mixture within the limits"):
        next_batch(fitted, 4, limits=pinned)
