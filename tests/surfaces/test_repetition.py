"""Repeated data."""

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.mixture import Mixture
from mixlaw.surfaces.repetition import DataConstrained, effective, effective_tokens, fit_lifetimes


def test_published_losses_are_given_to_the_last_digit() -> None:
    law = DataConstrained()
    assert float(law.loss(6.34e9, 242e9, 25e9)) == pytest.approx(2.2256440889984477, rel=1e-14)
    assert float(law.loss(8.67e9, 178e9, 25e9)) == pytest.approx(2.2269634075087867, rel=1e-14)


def test_published_multipliers_of_unique_data() -> None:
    worth = effective(np.array([1, 2, 4, 8, 16, 40]), 1.0, DataConstrained().token_lifetime)
    assert worth == pytest.approx([1, 1.968, 3.726, 6.624, 10.582, 15.167], abs=5e-4)


def test_data_seen_once_is_worth_itself_and_more_passes_are_worth_ever_less() -> None:
    used = np.linspace(0.1, 60, 600)
    worth = effective(used, 1.0, 15.0)
    assert worth[used <= 1] == pytest.approx(used[used <= 1])
    assert (np.diff(worth) > 0).all()
    assert (np.diff(worth, 2) < 1e-12).all()
    assert worth.max() < 16


def test_a_mixture_is_worth_less_in_the_domain_that_is_scarce() -> None:
    mixture = Mixture.of({"web": 0.5, "code": 0.5, "books": 0.0})
    worth = effective_tokens(mixture, 100e9, {"web": 1e12, "code": 5e9, "books": 0})
    assert worth["web"] == pytest.approx(50e9)
    assert worth["code"] == pytest.approx(5e9 * float(effective(10.0, 1.0, 15.387756)))
    assert worth["books"] == 0


def test_a_model_too_large_for_its_data_is_worth_less_than_its_size() -> None:
    law = DataConstrained()
    called_for = float(law.optimal_params(25e9))
    grown = law.loss(np.array([called_for, 10 * called_for, 100 * called_for]), 25e9, 25e9)
    free = law.size_height * np.array([called_for, 10 * called_for]) ** -law.size_exponent
    assert (np.diff(grown) < 0).all()
    assert grown[0] - grown[1] < free[0] - free[1]


def test_lifetimes_are_recovered_from_exact_losses() -> None:
    truth = DataConstrained(token_lifetime=9.0, size_lifetime=3.0)
    params, tokens, unique = (
        array.ravel() for array in np.meshgrid([1e8, 1e9, 6e9], [1e10, 1e11, 4e11], [2e9, 1e10, 5e10])
    )
    found = fit_lifetimes(DataConstrained(), params, tokens, unique, truth.loss(params, tokens, unique))
    assert (found.token_lifetime, found.size_lifetime) == pytest.approx((9.0, 3.0), rel=1e-5)


def test_runs_that_never_repeat_are_refused() -> None:
    ones = np.ones(5)
    with pytest.raises(Refused, match="only 0 runs repeated any data"):
        fit_lifetimes(DataConstrained(), 1e9 * ones, 1e10 * ones, 1e11 * ones, 3 * ones)


def test_counts_that_are_not_positive_are_refused() -> None:
    with pytest.raises(Refused, match="unique tokens must be positive"):
        DataConstrained().loss(1e9, 1e10, 0)
