"""Surfaces with a formula: their derivatives, their recovery from exact losses, their laws at one scale."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from mixlaw.laws import LAWS
from mixlaw.runs import check_runs
from mixlaw.surfaces.additive import Additive
from mixlaw.surfaces.exponential_surface import ExponentialSurface
from mixlaw.surfaces.joint import Joint
from mixlaw.surfaces.parametric import ParametricSurface, Places
from mixlaw.surfaces.reach import Reach
from mixlaw.surfaces.robust import clustered_covariance
from mixlaw.surfaces.surface_law import SurfaceLaw
from mixlaw.surfaces.terms import LogOf, SumOfTerms

FORMULAS = (Additive, Joint, ExponentialSurface)
SIZES, TOKENS, DOMAINS = (1e7, 4e7, 2e8), tuple(np.geomspace(2e9, 3e10, 5)), 3
UNIT = (4e7, 8e9)


def places(count: int = 40, seed: int = 0) -> Places:
    random = np.random.default_rng(seed)
    return Places(random.dirichlet(np.ones(DOMAINS), count), random.normal(0, 1.2, count), random.normal(0, 1, count))


def plausible(formula: type[ParametricSurface], seed: int = 1) -> np.ndarray:
    """Parameters near the middle of the prior, with heights that are losses."""
    random = np.random.default_rng(seed)
    _, centre, lower, upper = formula.prior(DOMAINS)
    theta = centre + 0.25 * random.standard_normal(len(centre))
    theta[0] = 1.2
    return np.clip(theta, lower, np.minimum(upper, 20))


def surface_of(formula: type[ParametricSurface], theta: np.ndarray) -> ParametricSurface:
    blank, none = np.zeros((0, 1)), np.zeros((0, DOMAINS))
    covariance = np.zeros((1, len(theta), len(theta)))
    reach = Reach(SIZES, len(TOKENS), TOKENS[0], TOKENS[-1], TOKENS[-1], True)
    return formula(("a", "b", "c"), ("x",), theta[None], covariance, UNIT, none, blank, (), reach, ())


def frame_of(formula: type[ParametricSurface], theta: np.ndarray, mixtures: int = 14) -> pd.DataFrame:
    mixed = np.random.default_rng(2).dirichlet(np.ones(DOMAINS), mixtures)
    cells = list(product(range(mixtures), SIZES, TOKENS))
    where = Places(
        mixed[[number for number, _, _ in cells]],
        np.log([params / UNIT[0] for _, params, _ in cells]),
        np.log([tokens / UNIT[1] for _, _, tokens in cells]),
    )
    losses = formula.curve(where).values(theta[None])[0]
    rows = [
        {"run": f"{params:g}-{number}", "params": params, "tokens": tokens, "loss.x": loss}
        | {f"mix.{name}": value for name, value in zip("abc", mixed[number], strict=True)}
        for (number, params, tokens), loss in zip(cells, losses, strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("relative", [False, True])
def test_derivatives_are_those_of_the_values(formula: type[ParametricSurface], relative: bool) -> None:
    curve = formula.curve(places())
    curve = LogOf(curve) if relative else curve
    assert isinstance(curve, SumOfTerms | LogOf)
    theta = np.stack([plausible(formula, seed) for seed in (1, 2)])
    step = 1e-6 * np.eye(theta.shape[1])
    slopes = [(curve.values(theta + one) - curve.values(theta - one)) / 2e-6 for one in step]
    assert curve.slopes(theta) == pytest.approx(np.stack(slopes, axis=2), abs=1e-7)
    pull = np.random.default_rng(3).standard_normal((2, 40))
    bends = [
        np.einsum("bn,bnp->bp", pull, curve.slopes(theta + one) - curve.slopes(theta - one)) / 2e-6 for one in step
    ]
    assert curve.bend(theta, pull) == pytest.approx(np.stack(bends, axis=1), abs=1e-6)


@pytest.mark.parametrize("formula", FORMULAS)
def test_exact_losses_are_predicted_at_a_scale_and_mixtures_never_seen(formula: type[ParametricSurface]) -> None:
    theta = plausible(formula)
    fitted = formula.fit_formula(check_runs(frame_of(formula, theta)))
    fresh = np.random.default_rng(9).dirichlet(np.ones(DOMAINS), 20)
    where = Places(fresh, np.full(20, np.log(6e8 / UNIT[0])), np.full(20, np.log(1e11 / UNIT[1])))
    exact = formula.curve(where).values(theta[None])[0]
    assert fitted.at(6e8, 1e11).fit.law.predict(fresh)[:, 0] == pytest.approx(exact, abs=2e-5)
    assert not fitted.unsettled


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_law_at_one_scale_is_the_formula_there(formula: type[ParametricSurface]) -> None:
    theta = plausible(formula)
    law = surface_of(formula, theta).law_at(0.7, -0.4)
    mixed = places().proportions
    where = Places(mixed, np.full(len(mixed), 0.7), np.full(len(mixed), -0.4))
    assert law.predict(mixed)[:, 0] == pytest.approx(formula.curve(where).values(theta[None])[0], rel=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_slopes_and_curvature_of_the_law_are_those_of_its_predictions(formula: type[ParametricSurface]) -> None:
    law = surface_of(formula, plausible(formula)).law_at(0.7, -0.4)
    at, step = np.array([0.3, 0.45, 0.25]), 1e-5 * np.eye(DOMAINS)
    slope = np.stack(
        [(law.predict((at + one)[None]) - law.predict((at - one)[None]))[0] / 2e-5 for one in step], axis=1
    )
    assert law.slope(at) == pytest.approx(slope, abs=1e-7)
    if law.convex.all():
        bend = np.stack([(law.slope(at + one) - law.slope(at - one))[0] / 2e-5 for one in step])
        found = law.curvature(at, np.array([1.0]))
        assert found.root.T @ found.root + np.diag(found.diagonal) == pytest.approx(bend, abs=1e-6)


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_laws_own_parameters_are_the_columns_of_theta_it_names(formula: type[ParametricSurface]) -> None:
    theta = plausible(formula)
    surface = surface_of(formula, theta)
    mixed = places(8).proportions
    slopes = surface.law_at(0.7, -0.4).parameter_slope(mixed)[0]
    columns = surface.law_columns()
    assert slopes.shape == (8, len(columns))
    for place, column in enumerate(columns[1:], start=1):
        up, down = theta.copy(), theta.copy()
        up[column], down[column] = up[column] + 1e-6, down[column] - 1e-6
        ends = [surface_of(formula, end).law_at(0.7, -0.4).predict(mixed)[:, 0] for end in (up, down)]
        assert slopes[:, place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-5)


def test_the_additive_optimum_is_the_same_at_every_scale_and_the_joint_one_moves() -> None:
    grid = np.array([[a, b, 1 - a - b] for a in np.linspace(0, 1, 41) for b in np.linspace(0, 1 - a, 41)])

    def best(formula: type[ParametricSurface], *scale: float) -> int:
        return int(surface_of(formula, plausible(formula)).law_at(*scale).predict(grid)[:, 0].argmin())

    assert best(Additive, -1.5, -1.5) == best(Additive, 3.0, 3.0)
    assert best(Joint, -1.5, -1.5) != best(Joint, 3.0, 3.0)


def test_additive_and_exponential_surfaces_are_convex_at_every_scale_and_say_so() -> None:
    random = np.random.default_rng(5)
    ends = random.dirichlet(np.full(DOMAINS, 0.5), (200, 2))
    for formula in (Additive, ExponentialSurface):
        law = surface_of(formula, plausible(formula)).law_at(1.0, 1.0)
        assert law.convex.all()
        middle = law.predict(ends.mean(axis=1))
        assert (middle <= (law.predict(ends[:, 0]) + law.predict(ends[:, 1])) / 2 + 1e-12).all()


def test_a_concave_power_is_not_called_convex() -> None:
    law = SurfaceLaw.of(
        ("a", "b"), ("x",), np.array([1.0]), powers=(np.zeros((1, 1, 2)), np.array([[0.5]]), np.array([[1.0]]))
    )
    assert not law.convex[0]


def test_one_domain_makes_the_additive_law_chinchillas() -> None:
    theta = np.array([1.0, 0.2, np.log(0.3), -0.3, np.log(0.6), 0.4, np.log(0.5)])
    where = Places(np.ones((5, 1)), np.linspace(-1, 1, 5), np.linspace(0, 2, 5))
    plain = 1 + np.exp(0.2 - 0.3 * where.log_params) + np.exp(-0.3 - 0.6 * where.log_tokens)
    mixed = np.exp(-0.4) * (1 + 1e-4) ** -0.5
    assert Additive.curve(where).values(theta[None])[0] == pytest.approx(plain + mixed, rel=1e-12)


def test_exponential_heights_far_from_the_runs_are_held_by_their_prior() -> None:
    frame = frame_of(ExponentialSurface, plausible(ExponentialSurface))
    near = frame[(frame["mix.a"] - 1 / 3).abs() < 0.35].copy()
    near["loss.x"] += 0.02 * np.random.default_rng(0).standard_normal(len(near))
    law = ExponentialSurface.fit(check_runs(near), LAWS["exponential"]).at(6e8, 1e11).fit.law
    vertices = law.predict(np.eye(DOMAINS))[:, 0]
    assert np.ptp(vertices) < 1.0


def test_the_covariance_counts_a_run_once_however_often_it_was_measured() -> None:
    random = np.random.default_rng(0)
    run = np.repeat(np.arange(40), 25)
    slopes = np.repeat(np.column_stack([np.ones(40), random.standard_normal(40)]), 25, axis=0)[None]
    estimates, said = [], []
    for _ in range(300):
        noise = np.repeat(random.standard_normal(40), 25)[:, None]
        left = noise - slopes[0] @ np.linalg.lstsq(slopes[0], noise, rcond=None)[0]
        estimates.append(np.linalg.lstsq(slopes[0], noise, rcond=None)[0][:, 0])
        said.append(clustered_covariance(slopes, left, run, np.zeros((2, 2)))[0])
    assert np.diag(np.mean(said, axis=0)) == pytest.approx(np.var(estimates, axis=0), rel=0.25)
