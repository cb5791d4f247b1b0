"""Weights of sequences by their losses: values by hand, invariances, and batches on which the formula would break."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.online.samples import Samples, effective_sample_size, within_cap

LOSSES = [1.0, 2.0, 3.0, 4.0, 5.0]
losses_of_a_batch = st.lists(st.floats(0.01, 12), min_size=3, max_size=30)
strategies = pytest.mark.parametrize("strategy", ["linupper", "quadratic", "extremes"])


@pytest.mark.parametrize(
    ("strategy", "temperature", "expected"),
    [
        ("linupper", 1.0, [0.09256, 0.15261, 0.25161, 0.25161, 0.25161]),
        ("linupper", 0.4, [0.02437, 0.08505, 0.29686, 0.29686, 0.29686]),
        ("quadratic", 1.0, [0.11170, 0.23648, 0.30364, 0.23648, 0.11170]),
        ("quadratic", 0.4, [0.03673, 0.23952, 0.44749, 0.23952, 0.03673]),
        ("extremes", 1.0, [0.27926, 0.16938, 0.10273, 0.16938, 0.27926]),
        ("extremes", 0.4, [0.37663, 0.10791, 0.03092, 0.10791, 0.37663]),
    ],
)
def test_weights_of_five_losses_are_those_found_by_hand(
    strategy: str, temperature: float, expected: list[float]
) -> None:
    found = Samples(strategy=strategy, temperature=temperature).weights(LOSSES)
    np.testing.assert_allclose(found, expected, atol=6e-6)


@strategies
@given(losses_of_a_batch, st.floats(0.1, 50), st.floats(-5, 5))
def test_weights_do_not_see_the_scale_or_the_level_of_the_losses(
    strategy: str, losses: list[float], scale: float, level: float
) -> None:
    values = np.array(losses)
    if np.ptp(values) < 1e-3:
        return
    samples = Samples(strategy=strategy, temperature=0.4)
    np.testing.assert_allclose(samples.weights(values), samples.weights(scale * values + level), rtol=1e-6)


@strategies
@given(losses_of_a_batch)
def test_permuting_the_sequences_permutes_the_weights(strategy: str, losses: list[float]) -> None:
    order = np.random.default_rng(len(losses)).permutation(len(losses))
    samples = Samples(strategy=strategy)
    np.testing.assert_allclose(samples.weights(losses)[order], samples.weights(np.array(losses)[order]), rtol=1e-12)


@strategies
@pytest.mark.parametrize("losses", [[3.0] * 7, [3.0, 3.0 + 1e-9, 3.0 - 1e-9], [2.5]])
def test_equal_losses_have_exactly_equal_weights(strategy: str, losses: list[float]) -> None:
    """With the published denominator of 1e-6, rounding alone would decide."""
    assert Samples(strategy=strategy, temperature=1e-3).weights(losses).tolist() == [1 / len(losses)] * len(losses)


@strategies
def test_a_high_temperature_weighs_evenly(strategy: str) -> None:
    np.testing.assert_allclose(Samples(strategy=strategy, temperature=1e9).weights(LOSSES), 0.2, rtol=1e-8)


def test_the_weights_maximise_the_score_less_the_divergence_from_even_weights() -> None:
    samples = Samples(strategy="linupper", temperature=0.7)
    values = np.array([0.4, 1.1, 2.9, 2.2])
    score = samples.score(values, values.min(), values.max())

    def objective(weights: np.ndarray) -> float:
        return float(weights @ score - 0.7 * (weights * np.log(4 * weights)).sum())

    best = samples.weights(values)
    generator = np.random.default_rng(0)
    assert all(objective(best) >= objective(other) for other in generator.dirichlet(np.ones(4), 500))
    assert objective(best) - objective(np.full(4, 0.25)) > 0.01


def test_one_outlier_sets_the_scale_unless_it_is_cut_off() -> None:
    losses = [*np.linspace(2, 3, 20), 40.0]
    minmax, cut = Samples().weights(losses), Samples(outliers=0.05).weights(losses)
    assert minmax[19] / minmax[0] < 1.1
    assert cut[19] / cut[0] == pytest.approx(np.e, rel=1e-2)


def test_linupper_at_a_low_temperature_keeps_the_cap_only_if_enough_losses_are_high() -> None:
    samples = Samples(temperature=0.4)
    assert within_cap(samples.weights([1.0] * 50 + [3.0] * 50))
    assert not within_cap(samples.weights([1.0] * 80 + [3.0] * 20))
    assert within_cap([0.5, 0.2, 0.2, 0.1]) and not within_cap([0.51, 0.19, 0.2, 0.1])
    assert effective_sample_size([0.25] * 4) == 4.0
    assert effective_sample_size(samples.weights([1.0] * 80 + [3.0] * 20)) == pytest.approx(
        (80 * np.exp(-2.5) + 20) ** 2 / (80 * np.exp(-5) + 20)
    )


def test_a_weighted_step_of_linear_regression_is_the_one_in_closed_form() -> None:
    """Gradient descent on sum w_i (x_i b - y_i)^2 with the weights held still within a step, as training does."""
    generator = np.random.default_rng(0)
    features, truth = generator.standard_normal((60, 3)), np.array([1.0, -2.0, 0.5])
    answers, samples, found = features @ truth, Samples(temperature=0.5), np.zeros(3)
    for _ in range(400):
        residuals = features @ found - answers
        weights = samples.weights(residuals**2)
        exact = np.linalg.solve(features.T @ (weights[:, None] * features), features.T @ (weights * answers))
        np.testing.assert_allclose(exact, truth, atol=1e-9)
        found = found - 0.2 * 2 * features.T @ (weights * residuals)
    np.testing.assert_allclose(found, truth, atol=1e-9)


def test_the_burn_in_is_a_share_of_the_run() -> None:
    assert [Samples(burn_in=share).begins(200) for share in (0.0, 0.05, 1.0)] == [1, 11, 201]
