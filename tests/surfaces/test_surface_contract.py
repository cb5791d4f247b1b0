"""What every registered surface keeps."""

import json
from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.runs import check_runs
from mixlaw.surfaces import SURFACES
from mixlaw.surfaces.base import Surface
from mixlaw.surfaces.carried import CarriedSurface
from mixlaw.surfaces.parametric import ParametricSurface

LAW = LAWS["exponential"]
SCALES = tuple(product((10**6, 3 * 10**6, 10**7), (10**8, 2 * 10**8, 4 * 10**8, 8 * 10**8, 16 * 10**8)))
REACHED = {"none": (None, None), "transfer": (None, None)}
"""The scale asked of a surface; three times the params and twice the tokens where it can be reached."""

Planted = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Ten mixtures at three sizes, five checkpoints each, with noise."""
    random = np.random.default_rng(0)
    mixed = random.dirichlet(np.full(3, 0.8), 10)
    slopes = np.array([[-1.0, 0.2, -0.4], [0.3, -2.0, 0.1]])
    rows = []
    for number, (params, tokens) in product(range(10), SCALES):
        losses = 1.5 + np.exp(slopes @ mixed[number]) + 20 * params**-0.3 + 50 * tokens**-0.3
        losses = losses + 0.005 * random.standard_normal(2)
        rows.append(
            {"run": f"{params}-{number}", "params": params, "tokens": tokens}
            | {f"mix.{name}": value for name, value in zip(("web", "code", "books"), mixed[number], strict=True)}
            | {"loss.web": losses[0], "loss.code": losses[1]}
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> dict[str, Surface]:
    return {name: surface.fit(check_runs(frame), LAW) for name, surface in SURFACES.items()}


def _fit_without_backtests(name: str, frame: pd.DataFrame) -> Surface:
    kind = SURFACES[name]
    if issubclass(kind, CarriedSurface):
        return kind.carry_from(check_runs(frame), LAW)
    return (
        kind.fit_formula(check_runs(frame)) if issubclass(kind, ParametricSurface) else kind.fit(check_runs(frame), LAW)
    )


def _asked(name: str) -> tuple[float | None, float | None]:
    return REACHED.get(name, (3e7, 3.2e9))


def test_names_are_those_of_the_registry() -> None:
    assert all(surface.scale == name for name, surface in SURFACES.items())


@pytest.mark.parametrize("name", SURFACES)
def test_a_surface_survives_json_to_the_last_digit(name: str, fitted: dict[str, Surface]) -> None:
    surface = fitted[name]
    text = json.dumps(surface.parameters(), allow_nan=False)
    again = type(surface).from_parameters(surface.domains, surface.targets, json.loads(text))
    first, second = surface.at(*_asked(name)), again.at(*_asked(name))
    assert np.array_equal(first.losses, second.losses, equal_nan=True)
    assert np.array_equal(first.scale_error, second.scale_error)
    assert first.warnings == second.warnings
    assert first.fit.law.predict(first.proportions) == pytest.approx(
        second.fit.law.predict(first.proportions), abs=1e-12
    )
    assert json.dumps(again.parameters(), allow_nan=False) == text


@pytest.mark.parametrize("name", SURFACES)
def test_the_order_of_rows_changes_nothing(name: str, frame: pd.DataFrame, fitted: dict[str, Surface]) -> None:
    shuffled = frame.sample(frac=1, random_state=3).reset_index(drop=True)
    at, again = fitted[name].at(*_asked(name)), _fit_without_backtests(name, shuffled).at(*_asked(name))
    mixtures = np.random.default_rng(1).dirichlet(np.ones(3), 6)
    assert again.fit.law.predict(mixtures) == pytest.approx(at.fit.law.predict(mixtures), abs=1e-9)


@pytest.mark.parametrize("name", SURFACES)
def test_by_default_it_speaks_of_the_largest_scale_measured(
    name: str, fitted: dict[str, Surface], frame: pd.DataFrame
) -> None:
    at = fitted[name].at()
    last = frame[(frame["params"] == 10**7) & (frame["tokens"] == 16 * 10**8)]
    measured = last[["loss.web", "loss.code"]].to_numpy()
    predicted = at.fit.law.predict(last[["mix.web", "mix.code", "mix.books"]].to_numpy())
    within = 0.5 if name == "chinchilla" else 0.03
    assert np.abs(predicted - measured).max() < within


@pytest.mark.parametrize("name", SURFACES)
def test_intervals_hold_what_is_true_at_the_scale_asked_for(name: str, fitted: dict[str, Surface]) -> None:
    params, tokens = _asked(name)
    at = fitted[name].at(params, tokens)
    mixtures = np.random.default_rng(7).dirichlet(np.full(3, 1.5), 30)
    slopes = np.array([[-1.0, 0.2, -0.4], [0.3, -2.0, 0.1]])
    truth = 1.5 + np.exp(mixtures @ slopes.T) + 20 * (params or 1e7) ** -0.3 + 50 * (tokens or 16e8) ** -0.3
    half = uncertainty_of(at).half_width(mixtures, 0.9)
    assert np.isfinite(half).all()
    assert (np.abs(at.fit.law.predict(mixtures) - truth) < half).mean() > 0.8


@pytest.mark.parametrize("name", SURFACES)
def test_shapes_agree(name: str, fitted: dict[str, Surface]) -> None:
    at = fitted[name].at(*_asked(name))
    count = len(at.proportions)
    assert at.losses.shape == (count, 2)
    assert at.groups.shape == (count,)
    assert at.scale_error.shape == (2,)
    assert (at.scale_error >= 0).all()
    assert at.fit.weights.shape == (count, 2)
    assert at.proportions.sum(axis=1) == pytest.approx(np.ones(count))


@pytest.mark.parametrize("name", SURFACES)
def test_a_blank_loss_is_left_out_of_its_target_only(name: str, frame: pd.DataFrame) -> None:
    holes = frame.copy()
    holes.loc[::7, "loss.web"] = np.nan
    full, part = (_fit_without_backtests(name, each).at(*_asked(name)) for each in (frame, holes))
    mixtures = np.random.default_rng(1).dirichlet(np.ones(3), 6)
    full_losses, part_losses = full.fit.law.predict(mixtures), part.fit.law.predict(mixtures)
    assert part_losses[:, 0] == pytest.approx(full_losses[:, 0], abs=0.1)
    shared = 0.05 if name in ("pooled", "nested", "transfer") else 1e-9
    assert part_losses[:, 1] == pytest.approx(full_losses[:, 1], abs=shared)


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize(("params", "tokens"), [(-1e7, None), (None, 0.0), (float("nan"), None), (None, float("inf"))])
def test_a_scale_that_is_no_positive_number_is_refused(
    name: str, params: float | None, tokens: float | None, fitted: dict[str, Surface]
) -> None:
    with pytest.raises(Refused):
        fitted[name].at(params, tokens)


@pytest.mark.parametrize("name", [name for name in SURFACES if name not in ("none", "transfer")])
def test_far_scales_are_said_to_be_far(name: str, fitted: dict[str, Surface]) -> None:
    said = " ".join(fitted[name].at(1e9, 1e11).warnings)
    assert "times the largest size measured" in said
    assert "times the most measured" in said
    assert not any("have been seen to fail" in warning for warning in fitted[name].at(1e7, 16e8).warnings)


@pytest.mark.parametrize("name", [name for name in SURFACES if name not in ("none", "nested", "transfer")])
def test_one_size_refuses_another(name: str, frame: pd.DataFrame) -> None:
    one = _fit_without_backtests(name, frame[frame["params"] == 10**7])
    assert np.isfinite(one.at(tokens=3.2e9).fit.law.predict(np.full((1, 3), 1 / 3))).all()
    with pytest.raises(Refused, match="one size, 10M params"):
        one.at(params=3e7)


@pytest.mark.parametrize("name", [name for name in SURFACES if name not in ("none", "nested", "transfer")])
def test_one_checkpoint_a_run_refuses_more_tokens(name: str, frame: pd.DataFrame) -> None:
    one = _fit_without_backtests(name, frame[frame["tokens"] == 16 * 10**8])
    assert np.isfinite(one.at(params=3e7).fit.law.predict(np.full((1, 3), 1 / 3))).all()
    with pytest.raises(Refused, match=r"one checkpoint, at 1\.6B tokens"):
        one.at(tokens=3.2e9)


@pytest.mark.parametrize("name", SURFACES)
def test_a_number_that_was_taken_out_of_a_file_is_refused(name: str, fitted: dict[str, Surface]) -> None:
    surface = fitted[name]
    parameters = json.loads(json.dumps(surface.parameters()))
    parameters["proportions"][0] = [None] * 3
    with pytest.raises(Refused, match="not a number"):
        type(surface).from_parameters(surface.domains, surface.targets, parameters)
