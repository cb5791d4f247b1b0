"""The curve of an average mixture, and how sure it is."""

from itertools import product

import numpy as np
import pytest

from mixlaw.surfaces.curve_error import curve_covariance, curve_deviation
from mixlaw.surfaces.shared_curve import Cells, Rows, SharedCurve, fit_shared_curve, losses_of_cells

SIZES, TOKENS = (1e7, 3e7, 1e8), (2e9, 4e9, 8e9, 1.6e10)


def rows(
    curve: SharedCurve, sizes: tuple[float, ...] = SIZES, noise: float = 0.0, seed: int = 0, shared: float = 0.0
) -> Rows:
    """Eight mixtures with offsets of their own; `shared` is what a size or moment is off the curve for all alike."""
    random = np.random.default_rng(seed)
    offsets = random.normal(0, 0.3, (8, curve.terms.shape[1]))
    of_size, of_moment = random.normal(0, shared or 1e-300, len(sizes)), random.normal(0, shared or 1e-300, len(TOKENS))
    where = list(product(range(8), range(len(sizes)), range(len(TOKENS))))
    mixture = np.array([each[0] for each in where])
    params, tokens = np.array([sizes[each[1]] for each in where]), np.array([TOKENS[each[2]] for each in where])
    losses = (
        curve.at(params, tokens) + offsets[mixture] + noise * random.standard_normal((len(where), offsets.shape[1]))
    )
    losses += np.array([of_size[each[1]] + of_moment[each[2]] for each in where])[:, None]
    return Rows(np.arange(len(where)) // len(TOKENS), mixture, params, tokens, losses - offsets.mean(axis=0))


def curve_of(size: float = 0.25, token: float = 0.6, targets: int = 2) -> SharedCurve:
    terms = np.repeat(np.array([[1.8], [0.5], [0.3], [0.1]]), targets, axis=1)
    return SharedCurve(np.full(targets, size), np.full(targets, token), terms, SIZES[-1], TOKENS[-1])


def cells_of(found: Rows) -> Cells:
    return Cells.of(found, np.ones_like(found.losses), np.full(found.losses.shape[1], 0.01))


def test_a_curve_with_the_exponents_of_the_prior_is_recovered() -> None:
    truth = curve_of()
    found = fit_shared_curve(cells_of(rows(truth)), interaction=True, shared_exponents=True)
    assert found.size_exponent[0] == pytest.approx(0.25, rel=0.02)
    assert found.token_exponent[0] == pytest.approx(0.6, rel=0.02)
    fall = found.at(4e8, 6e10) - found.at(SIZES[-1], TOKENS[-1])
    assert fall == pytest.approx(truth.at(4e8, 6e10) - truth.at(SIZES[-1], TOKENS[-1]), abs=0.005)


def test_a_mixture_run_at_the_small_size_only_does_not_shift_the_others_curve() -> None:
    full = rows(curve_of())
    kept = (full.mixture < 5) | (full.params < 2e7)
    part = Rows(full.run[kept], full.mixture[kept], full.params[kept], full.tokens[kept], full.losses[kept])
    first, second = (fit_shared_curve(cells_of(each), interaction=True, shared_exponents=True) for each in (full, part))
    assert second.at(4e8, 6e10) - second.at(1e8, 1.6e10) == pytest.approx(
        first.at(4e8, 6e10) - first.at(1e8, 1.6e10), abs=0.005
    )


def test_shared_exponents_are_one_pair_and_others_one_a_target() -> None:
    truth = curve_of()
    apart = SharedCurve(np.array([0.2, 0.35]), np.array([0.5, 0.8]), truth.terms, truth.params, truth.tokens)
    cells = cells_of(rows(apart))
    together = fit_shared_curve(cells, interaction=True, shared_exponents=True)
    own = fit_shared_curve(cells, interaction=True, shared_exponents=False)
    assert np.ptp(together.size_exponent) == 0
    assert own.size_exponent[0] < together.size_exponent[0] < own.size_exponent[1]
    assert own.token_exponent[0] < own.token_exponent[1]


def test_without_interaction_the_product_term_is_zero() -> None:
    found = fit_shared_curve(cells_of(rows(curve_of())), interaction=False, shared_exponents=True)
    assert (found.terms[3] == 0).all()


def test_what_a_moment_is_off_the_curve_is_given_to_its_cells() -> None:
    truth = curve_of()
    found = rows(truth)
    found.losses[found.tokens == TOKENS[1]] += 0.05
    cells = cells_of(found)
    curve = fit_shared_curve(cells, interaction=True, shared_exponents=True)
    above = losses_of_cells(cells, curve) - truth.at(cells.params, cells.tokens)
    moment = np.isclose(cells.tokens, TOKENS[1])
    assert above[moment].mean() - above[~moment].mean() == pytest.approx(0.05, abs=0.005)
    assert (curve.at(cells.params, cells.tokens) - truth.at(cells.params, cells.tokens))[moment].mean() < 0.04


def test_deviations_are_those_of_exponents_drawn_from_the_prior_and_shared_errors() -> None:
    random = np.random.default_rng(0)
    standing = []
    for seed in range(40):
        truth = curve_of(0.25 * np.exp(0.3 * random.standard_normal()), 0.6 * np.exp(0.3 * random.standard_normal()))
        cells = cells_of(rows(truth, sizes=SIZES[1:], noise=0.01, seed=seed, shared=0.01))
        found = fit_shared_curve(cells, interaction=True, shared_exponents=True)
        covariance = curve_covariance(cells, found, interaction=True, shared_exponents=True)
        fall = (found.at(4e8, 6e10) - found.at(1e8, 1.6e10)) - (truth.at(4e8, 6e10) - truth.at(1e8, 1.6e10))
        standing.append(float(fall[0, 0] / curve_deviation(found, covariance, 4e8, 6e10)[0]))
    assert 0.6 < np.sqrt(np.mean(np.square(standing))) < 1.5
    assert abs(np.mean(standing)) < 0.5


def test_a_third_size_makes_the_curve_surer() -> None:
    deviations = []
    for sizes in (SIZES[1:], SIZES):
        cells = cells_of(rows(curve_of(), sizes=sizes))
        found = fit_shared_curve(cells, interaction=True, shared_exponents=True)
        covariance = curve_covariance(cells, found, interaction=True, shared_exponents=True)
        deviations.append(curve_deviation(found, covariance, 1e9, TOKENS[-1])[0])
    assert deviations[1] < 0.8 * deviations[0]


def test_the_curve_is_sure_where_it_was_measured() -> None:
    cells = cells_of(rows(curve_of()))
    found = fit_shared_curve(cells, interaction=True, shared_exponents=True)
    covariance = curve_covariance(cells, found, interaction=True, shared_exponents=True)
    assert curve_deviation(found, covariance, SIZES[-1], TOKENS[-1]) == pytest.approx(np.zeros(2))
