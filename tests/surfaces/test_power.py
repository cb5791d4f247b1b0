"""Power curves with tied exponents."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from mixlaw.surfaces.power import fit_power_curves, huber_loss, minimise_each

TOKENS = np.geomspace(1e9, 3e10, 11)


def _curves(
    exponents: np.ndarray, per_group: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(exponents)), per_group)
    floor, height = random.uniform(1, 3, len(groups)), random.uniform(0.2, 2, len(groups))
    x = np.tile(TOKENS, (len(groups), 1))
    return x, floor[:, None] + height[:, None] * (x / 5e9) ** -exponents[groups][:, None], groups, floor


@pytest.mark.parametrize("held_out", [0, 5])
def test_exact_curves_are_recovered_with_one_exponent_a_group(held_out: int) -> None:
    exponents = np.array([0.12, 0.37, 0.9])
    x, losses, groups, floor = _curves(exponents, per_group=4)
    fitted = fit_power_curves(x, losses, groups, huber=0.05, held_out=held_out)
    assert fitted.exponent == pytest.approx(exponents[groups], rel=1e-6)
    assert fitted.floor == pytest.approx(floor, abs=1e-5)
    assert fitted.at(1e11) == pytest.approx(
        floor + (losses[:, 0] - floor) * (1e11 / 1e9) ** -exponents[groups], abs=1e-6
    )


def test_a_tied_exponent_is_the_same_for_all_curves_of_its_group_under_noise() -> None:
    x, losses, groups, _ = _curves(np.array([0.3, 0.6]), per_group=5)
    fitted = fit_power_curves(
        x, losses + 0.01 * np.random.default_rng(1).standard_normal(losses.shape), groups, huber=0.05
    )
    assert len(np.unique(fitted.exponent)) == 2


def test_no_start_of_another_solver_finds_a_lower_penalty() -> None:
    x, losses, groups, _ = _curves(np.array([0.4]), per_group=3)
    losses = losses + 0.02 * np.random.default_rng(2).standard_t(2, losses.shape)
    fitted = fit_power_curves(x, losses, groups, huber=0.02)
    ours = losses - fitted.floor[:, None] - fitted.height[:, None] * (x / fitted.unit) ** -fitted.exponent[:, None]

    def residual(theta: np.ndarray) -> np.ndarray:
        floor, height = theta[1:4, None], theta[4:, None]
        return (losses - floor - height * (x / fitted.unit) ** -np.exp(theta[0])).ravel()

    starts = [np.array([np.log(exponent), 1, 1, 1, 1, 1, 1]) for exponent in (0.05, 0.2, 0.8, 2.0)]
    theirs = [least_squares(residual, start, loss="huber", f_scale=0.02, xtol=1e-12, ftol=1e-12) for start in starts]
    assert huber_loss(ours, 0.02).sum() <= min(end.cost for end in theirs) + 1e-9


def test_rising_losses_are_fitted_by_a_flat_curve_at_their_mean() -> None:
    losses = np.linspace(2.0, 2.1, 11)[None]
    fitted = fit_power_curves(TOKENS[None], losses, np.zeros(1, dtype=np.int64), huber=1.0)
    assert fitted.height == pytest.approx(0.0)
    assert fitted.floor == pytest.approx(losses.mean())


def test_floors_and_heights_are_never_negative() -> None:
    steep = (3 * TOKENS / 1e9) ** -1.5 - 0.01
    fitted = fit_power_curves(TOKENS[None], steep[None], np.zeros(1, dtype=np.int64), huber=1.0)
    assert fitted.floor[0] == 0.0
    assert fitted.height[0] > 0


def test_one_broken_checkpoint_hardly_moves_a_robust_curve() -> None:
    x, losses, groups, _ = _curves(np.array([0.4]), per_group=4)
    truth = fit_power_curves(x, losses, groups, huber=0.01).at(1e11)
    losses[0, 4] += 2.0
    assert fit_power_curves(x, losses, groups, huber=0.01).at(1e11) == pytest.approx(truth, abs=0.05)
    assert abs(fit_power_curves(x, losses, groups, huber=10.0).at(1e11) - truth).max() > 0.2


def test_points_that_are_missing_are_left_out_curve_by_curve() -> None:
    x, losses, groups, floor = _curves(np.array([0.5]), per_group=3)
    losses[0, 2:6] = np.nan
    losses[1, -1] = np.nan
    assert fit_power_curves(x, losses, groups, huber=0.05).floor == pytest.approx(floor, abs=1e-5)


def test_many_functions_are_minimised_at_once_each_at_its_own_place() -> None:
    places = np.geomspace(0.02, 3, 7)
    found = minimise_each(lambda value: np.log(value / places) ** 2, 7, (0.01, 4.0))
    assert found == pytest.approx(places, rel=1e-7)
