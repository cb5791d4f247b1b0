"""A fit says what it cannot tell."""

import re

import numpy as np
import pytest

from mixlaw.fitting.choose import folds_of, held_out
from mixlaw.fitting.diagnose import Diagnostics, conformal_stretch, diagnose, directions
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.mixture import Array, groups_of
from mixlaw.surfaces.base import FitAtScale

DOMAINS = ("books", "code", "forums", "web")


def diagnosed(proportions: Array, losses: Array, kind: str = "exponential", worse: float = 1) -> Diagnostics:
    """Diagnostics of a fit, its held-out errors made worse by a factor."""
    targets = tuple("abcdef"[: losses.shape[1]])
    fit = LAWS[kind].fit(DOMAINS, targets, proportions, losses)
    at = FitAtScale(fit, proportions, losses, groups_of(proportions), np.zeros(len(targets)))
    folds = folds_of(at.groups)
    predicted = held_out(LAWS[kind], (DOMAINS, targets), (proportions, losses), folds)
    predicted = losses + worse * (predicted - losses)
    names = [f"run{number}" for number in range(len(proportions))]
    return diagnose(at, uncertainty_of(at), predicted, names, folds=int(folds.max()) + 1)


def planted(count: int, noise: float, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    proportions = generator.dirichlet(np.ones(4), count)
    slopes = np.array([[-2.0, 0.3, 0.1, 0.2], [0.2, -2.5, 0.1, 0.3]])
    return proportions, 2 + np.exp(proportions @ slopes.T) + noise * generator.standard_normal((count, 2))


def test_a_domain_that_never_varies_takes_its_direction_away() -> None:
    proportions, _ = planted(20, 0.0)
    proportions = np.column_stack(
        [proportions[:, :3] / proportions[:, :3].sum(1, keepdims=True) * 0.95, np.full(20, 0.05)]
    )
    losses = 2 + np.exp(proportions @ np.array([[-2.0, 0.3, 0.1, 0.2]]).T)
    found = diagnosed(proportions, losses + 0.01 * np.random.default_rng(1).standard_normal(losses.shape))
    assert found.rank == 2 and found.condition is None


def test_domains_that_move_only_together_are_named_and_no_others() -> None:
    generator = np.random.default_rng(2)
    shares = generator.dirichlet(np.ones(3), 20)
    proportions = np.column_stack([shares[:, 0], 0.25 * shares[:, 1], 0.75 * shares[:, 1], shares[:, 2]])
    rank, said = directions(proportions, DOMAINS)
    assert rank == 2
    assert "'code', 'forums'" in said[0] and "'books'" not in said[0] and "'web'" not in said[0]
    assert directions(generator.dirichlet(np.ones(4), 20), DOMAINS) == (3, ())


def test_fewer_mixtures_than_parameters_is_called_prior_dominated() -> None:
    few, enough = diagnosed(*planted(4, 0.01)), diagnosed(*planted(12, 0.01))
    assert any(note.startswith("prior-dominated: 4 mixtures for 5 parameters") for note in few.notes)
    assert not any(note.startswith("prior-dominated") for note in enough.notes)


def test_a_diverged_run_is_named_with_how_far_off_it_is() -> None:
    proportions, losses = planted(30, 0.01)
    losses[7, 0] += 1.0
    found = diagnosed(proportions, losses)
    (far,) = (note for note in found.targets[0].notes if note.startswith("far from the law"))
    assert re.search(r"far from the law, in nats: run7 \(\+(0\.[89]\d?|1)\)", far)
    assert not any(note.startswith("far from the law") for note in found.targets[1].notes)


def test_repeats_that_agree_where_the_law_errs_are_called_lack_of_fit() -> None:
    generator = np.random.default_rng(3)
    proportions = np.repeat(generator.dirichlet(np.ones(4), 20), 2, axis=0)
    bent = 3 + 0.3 * np.sin(25 * proportions[:, :1]) + 0.002 * generator.standard_normal((40, 1))
    straight = 2 + np.exp(proportions @ np.array([[-2.0, 0.3, 0.1, 0.2]]).T) + 0.05 * generator.standard_normal((40, 1))
    found = diagnosed(proportions, np.hstack([bent, straight]))
    lack, fits = found.targets
    assert lack.repeats_noise == pytest.approx(0.002, rel=0.5)
    assert any(note.startswith("lack of fit") for note in lack.notes)
    assert fits.repeats_noise is not None and abs(np.log(fits.repeats_noise / fits.noise)) < 0.7
    assert not any(note.startswith(("lack of fit", "repeats differ")) for note in fits.notes)


def test_held_out_errors_and_correlations_are_those_of_their_definitions() -> None:
    proportions, losses = planted(40, 0.05)
    found = diagnosed(proportions, losses).targets[0]
    assert found.cv_rmse is not None and 0.04 < found.cv_rmse < 0.08
    assert found.r2 == pytest.approx(1 - found.cv_rmse**2 / losses[:, 0].var())
    assert found.rank_correlation is not None and 0.5 < found.rank_correlation <= 1
    assert found.half_width > 1.6 * found.noise and found.runs == 40


def test_the_conformal_stretch_is_one_for_an_honest_interval_and_two_for_half_of_one() -> None:
    generator = np.random.default_rng(4)
    leverage = generator.uniform(0, 0.5, 4000)
    errors = generator.standard_normal(4000) / np.sqrt(1 - leverage)
    assert conformal_stretch(errors, leverage, 1.0, 1e9) == pytest.approx(1.0, abs=0.05)
    assert conformal_stretch(errors, leverage, 0.5, 1e9) == pytest.approx(2.0, abs=0.1)


def test_held_out_errors_far_beyond_the_intervals_raise_the_alarm() -> None:
    proportions, losses = planted(12, 0.02)
    honest, far = diagnosed(proportions, losses).targets[0], diagnosed(proportions, losses, worse=4).targets[0]
    assert honest.stretch is not None and honest.stretch < 1.5
    assert not any(note.startswith("intervals too narrow") for note in honest.notes)
    assert far.stretch == pytest.approx(4 * honest.stretch)
    assert any(note.startswith("intervals too narrow") for note in far.notes)


def test_a_run_that_alone_trained_on_a_domain_decides_its_own_prediction_and_is_named() -> None:
    proportions, losses = planted(40, 0.01)
    proportions[:, 3] = 0
    proportions[7] = [0.1, 0.1, 0.1, 0.7]
    proportions /= proportions.sum(axis=1, keepdims=True)
    losses = 2 + np.exp(proportions @ np.array([[-2.0, 0.3, 0.1, 0.2], [0.2, -2.5, 0.1, 0.3]]).T)
    losses += 0.01 * np.random.default_rng(6).standard_normal(losses.shape)
    found = diagnosed(proportions, losses)
    assert any(note.startswith("run7 decide") for note in found.notes)
    assert not any("decide" in note for note in diagnosed(*planted(40, 0.01)).notes)


def test_no_run_without_noise_is_far_from_its_law_by_the_last_digit() -> None:
    found = diagnosed(*planted(20, 0.0))
    assert not [note for target in found.targets for note in target.notes if note.startswith("far from the law")]
