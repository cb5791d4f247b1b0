"""Hoffmann et al.'s law and its published fit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from mixlaw.laws import LAWS
from mixlaw.runs import check_runs
from mixlaw.surfaces.chinchilla import Chinchilla, PublishedFit, fit_published
from mixlaw.surfaces.power import huber_loss

TRUTH = PublishedFit(1.82, 482.0, 0.348, 2085.0, 0.366, 0.0)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    params, tokens = np.meshgrid(np.geomspace(5e7, 1e10, 9), np.geomspace(1e9, 4e11, 9))
    return params.ravel(), tokens.ravel()


def test_exact_losses_give_the_law_back() -> None:
    params, tokens = _grid()
    found = fit_published(params, tokens, TRUTH.losses(params, tokens))
    assert found.objective < 1e-16
    assert found.irreducible == pytest.approx(TRUTH.irreducible, rel=1e-6)
    assert (found.size_height, found.token_height) == pytest.approx((482.0, 2085.0), rel=1e-4)
    assert (found.size_exponent, found.token_exponent) == pytest.approx((0.348, 0.366), rel=1e-6)


def test_the_objective_is_the_summed_huber_function_of_log_residuals() -> None:
    params, tokens = _grid()
    losses = TRUTH.losses(params, tokens) * np.exp(0.01 * np.random.default_rng(0).standard_normal(len(params)))
    found = fit_published(params, tokens, losses)
    assert found.objective == pytest.approx(huber_loss(np.log(losses / found.losses(params, tokens)), 1e-3).sum())
    assert found.objective <= huber_loss(np.log(losses / TRUTH.losses(params, tokens)), 1e-3).sum()


def test_the_published_points_give_the_published_law(reference: Path) -> None:
    points = pd.read_csv(reference / "chinchilla.csv").sort_values("loss").iloc[:-5]
    params = points["params"].to_numpy(float)
    found = fit_published(params, points["flop"].to_numpy(float) / (6 * params), points["loss"].to_numpy(float))
    assert found.objective <= 0.0010182745
    assert found.size_height == pytest.approx(477.8, abs=0.1)
    assert found.token_height == pytest.approx(2143.4, abs=0.1)
    assert found.irreducible == pytest.approx(1.8172, abs=1e-4)
    assert (found.size_exponent, found.token_exponent) == pytest.approx((0.34731, 0.36717), abs=1e-5)


def test_the_best_size_for_a_budget_has_the_least_loss_of_all_sizes() -> None:
    budget = 1e22
    found = minimize_scalar(
        lambda log: TRUTH.losses(np.exp(log), budget / (6 * np.exp(log))), bounds=(np.log(1e7), np.log(1e12))
    )
    assert TRUTH.best_params(budget) == pytest.approx(np.exp(found.x), rel=1e-3)


def test_bootstrap_samples_scatter_about_the_truth_as_much_as_their_own_covariance_says() -> None:
    params, tokens = _grid()
    random = np.random.default_rng(3)
    found = []
    for _ in range(25):
        noisy = TRUTH.losses(params, tokens) * np.exp(0.005 * random.standard_normal(len(params)))
        fit = fit_published(params, tokens, noisy)
        found.append([fit.irreducible, fit.size_exponent, fit.token_exponent])
    apart = np.array(found) - [TRUTH.irreducible, TRUTH.size_exponent, TRUTH.token_exponent]
    standing = apart.mean(axis=0) / (apart.std(axis=0) / np.sqrt(len(found)))
    assert (np.abs(standing) < 3.5).all()


def test_as_a_surface_it_says_the_same_of_every_mixture() -> None:
    params, tokens = _grid()
    random = np.random.default_rng(0)
    mixed = random.dirichlet(np.ones(3), len(params))
    frame = pd.DataFrame({"run": [f"r{place}" for place in range(len(params))], "params": params, "tokens": tokens})
    frame[["mix.a", "mix.b", "mix.c"]] = mixed
    frame["loss.x"] = TRUTH.losses(params, tokens)
    law = Chinchilla.fit(check_runs(frame), LAWS["exponential"]).at(2e10, 1e12).fit.law
    assert law.predict(mixed[:5]) == pytest.approx(np.full((5, 1), TRUTH.losses(2e10, 1e12)), abs=1e-4)
    assert law.slope(mixed[0]) == pytest.approx(np.zeros((1, 3)))
