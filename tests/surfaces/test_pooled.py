"""One curve for all mixtures, small deviations, several specifications."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.runs import check_runs, read_runs
from mixlaw.surfaces.curves import same_scale
from mixlaw.surfaces.pooled import SPECIFICATIONS, Pooled
from mixlaw.weights import read_numbers, weights_of

LAW = LAWS["exponential"]
SIZES, TOKENS = (1e7, 3e7, 1e8), tuple(np.geomspace(2e9, 2e10, 8))


def truth(mixtures: np.ndarray, params: float, tokens: float) -> np.ndarray:
    """A shared curve with a product term, an offset of each mixture, and a little of the size term too."""
    n, s = (params / 1e8) ** -0.22, (tokens / 2e10) ** -0.6
    offset = np.exp(mixtures @ np.array([[-1.0, 0.2, -0.4], [0.3, -2.0, 0.1]]).T)
    return 1.5 + offset + (0.6 + 0.05 * offset) * n + 0.3 * s + 0.1 * n * s


def table(noise: float = 0.0, sizes: tuple[float, ...] = SIZES, tokens: tuple[float, ...] = TOKENS) -> pd.DataFrame:
    random = np.random.default_rng(0)
    mixed = random.dirichlet(np.full(3, 0.7), 16)
    rows = []
    for number, params in product(range(16), sizes):
        run_noise = 0.5 * noise * random.standard_normal(2)
        for count in tokens:
            losses = truth(mixed[number], params, count) + run_noise + noise * random.standard_normal(2)
            rows.append(
                {"run": f"{params:g}-{number}", "params": params, "tokens": count}
                | {f"mix.{name}": value for name, value in zip("abc", mixed[number], strict=True)}
                | {"loss.x": losses[0], "loss.y": losses[1]}
            )
    return pd.DataFrame(rows)


def test_losses_at_twice_the_size_and_three_times_the_tokens_are_carried_through_noise() -> None:
    surface = Pooled.carry_from(check_runs(table(noise=0.01)), LAW)
    errors = surface.losses_at(2e8, 6e10) - truth(surface.proportions, 2e8, 6e10)
    assert np.abs(errors).max() < 0.06
    assert np.abs(errors - errors.mean(axis=0)).max() < 0.03  # the error is shared: mixtures keep their distances


def test_what_was_measured_is_given_back() -> None:
    surface = Pooled.carry_from(check_runs(table()), LAW)
    assert surface.losses_at(1e8, 2e10) == pytest.approx(truth(surface.proportions, 1e8, 2e10), abs=3e-3)


def test_the_interval_of_a_carried_loss_holds_the_truth() -> None:
    surface = Pooled.fit(check_runs(table(noise=0.01)), LAW)
    at = surface.at(2e8, 6e10)
    errors = np.abs((at.losses - truth(at.proportions, 2e8, 6e10)).mean(axis=0))
    assert (errors < 2 * at.scale_error).all()
    assert (at.scale_error < 0.15).all()


def test_an_interval_counts_what_a_run_differs_by_from_the_smoother_curve_of_its_mixture() -> None:
    """A checkpoint is off by 0.022 nats, and each mixture's curve rests on 24 of them."""
    surface = Pooled.fit(check_runs(table(noise=0.02)), LAW)
    assert surface.run_noise == pytest.approx([0.022, 0.022], rel=0.4)
    at = surface.at(1e8, 2e10)
    new = uncertainty_of(at).noise_covariance.diagonal()
    assert (new >= surface.run_noise**2).all()
    assert uncertainty_of(replace(at, run_noise=None)).noise_covariance.diagonal() == pytest.approx(
        new - surface.run_noise**2
    )


def test_the_median_and_the_spread_are_those_of_the_specifications() -> None:
    surface = Pooled.carry_from(check_runs(table(noise=0.01)), LAW)
    each = surface.by_specification(2e8, 6e10)
    assert len(each) == len(SPECIFICATIONS) + 1  # and the nested law's level
    assert surface.losses_at(2e8, 6e10) == pytest.approx(np.median(each, axis=0))
    assert (surface.spread_at(2e8, 6e10) > surface.spread_at(1e8, 2e10)).all()


def test_a_broken_checkpoint_and_a_broken_run_hardly_move_the_others() -> None:
    frame = table(noise=0.005)
    clean = Pooled.carry_from(check_runs(frame), LAW).losses_at(2e8, 6e10)
    frame.loc[7, "loss.x"] += 3.0
    frame.loc[frame["run"] == "1e+08-4", "loss.x"] += 0.5
    broken = Pooled.carry_from(check_runs(frame), LAW).losses_at(2e8, 6e10)
    moved = np.sort(np.abs(broken - clean).max(axis=1))
    assert moved[:14].max() < 0.03


def test_a_mixture_that_was_run_at_one_size_only_is_carried_too() -> None:
    frame = table(noise=0.005)
    seldom = frame["run"].str.endswith("-5") & (frame["params"] > SIZES[0])
    surface = Pooled.carry_from(check_runs(frame[~seldom]), LAW)
    errors = surface.losses_at(2e8, 6e10) - truth(surface.proportions, 2e8, 6e10)
    assert np.abs(errors - np.median(errors, axis=0)).max() < 0.05


def test_adding_a_constant_to_a_loss_adds_it_at_every_scale() -> None:
    frame = table(noise=0.01)
    plain = Pooled.carry_from(check_runs(frame), LAW).losses_at(2e8, 6e10)
    raised = Pooled.carry_from(check_runs(frame.assign(**{"loss.y": frame["loss.y"] + 1})), LAW).losses_at(2e8, 6e10)
    assert raised[:, 1] == pytest.approx(plain[:, 1] + 1, abs=0.02)
    assert raised[:, 0] == pytest.approx(plain[:, 0], abs=0.02)


def test_one_size_is_carried_in_tokens_and_refused_in_size() -> None:
    surface = Pooled.carry_from(check_runs(table(sizes=(1e8,))), LAW)
    assert surface.losses_at(1e8, 4e10) == pytest.approx(truth(surface.proportions, 1e8, 4e10), abs=0.05)
    with pytest.raises(Refused, match="one size, 100M params"):
        surface.at(params=2e8)


def test_one_checkpoint_a_run_is_carried_in_size_and_refused_in_tokens() -> None:
    surface = Pooled.carry_from(check_runs(table(tokens=(2e10,))), LAW)
    assert surface.losses_at(2e8, 2e10) == pytest.approx(truth(surface.proportions, 2e8, 2e10), abs=0.05)
    with pytest.raises(Refused, match="one checkpoint, at 20B tokens"):
        surface.at(tokens=4e10)


def test_one_scale_is_refused_with_what_to_do() -> None:
    with pytest.raises(Refused, match="--scale none, or add checkpoints"):
        Pooled.fit(check_runs(table(sizes=(1e8,), tokens=(2e10,))), LAW)


def test_curves_logged_at_tokens_of_their_own_are_carried_as_well() -> None:
    frame = table(noise=0.003)
    shift = frame["run"].map({run: 1 + 0.04 * (place % 7) for place, run in enumerate(sorted(set(frame["run"])))})
    frame["tokens"] *= shift
    mixed = frame[["mix.a", "mix.b", "mix.c"]].to_numpy()
    exact = [
        truth(mix, params, tokens) for mix, params, tokens in zip(mixed, frame["params"], frame["tokens"], strict=True)
    ]
    frame[["loss.x", "loss.y"]] = exact + 0.003 * np.random.default_rng(1).standard_normal((len(frame), 2))
    surface = Pooled.carry_from(check_runs(frame), LAW)
    assert surface.losses_at(2e8, 4e10) == pytest.approx(truth(surface.proportions, 2e8, 4e10), abs=0.05)


def test_published_runs_are_carried_to_1b_within_the_interval_and_in_order(reference: Path) -> None:
    runs = read_runs(reference / "redpajama.csv")
    weights = weights_of(read_numbers(reference / "pile_validation_weights.json", "weights"), runs.targets)
    small = runs.where((runs.params < 3.5e8) & (runs.tokens <= 30_000 * 1_048_576))
    surface = Pooled.fit(small, LAW)
    at = surface.at(805_736_448, 100_000 * 1_048_576)
    ends = runs.where((runs.params > 5e8) & same_scale(runs.tokens, 100_000 * 1_048_576))
    carried = [at.losses[np.abs(at.proportions - mixture).max(axis=1).argmin()] for mixture in ends.proportions]
    errors = (np.array(carried) - ends.losses) @ weights
    assert np.abs(errors).max() <= 0.035
    assert np.abs(errors).max() <= 1.64 * float(at.scale_error @ weights)
    assert (np.diff(np.array(carried) @ weights) * np.diff(ends.losses @ weights) > 0).all()
