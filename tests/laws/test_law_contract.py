"""What every law in the registry keeps, whatever its form."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.mixture import Array

DOMAINS, TARGETS = ("web", "code", "books", "papers"), ("prose", "python", "proofs")
KINDS = sorted(LAWS)
SMOOTH = [kind for kind in KINDS if kind != "trees"]
PARAMETRIC = [kind for kind in SMOOTH if kind != "gaussian-process"]
FORGETFUL = {"bimix"}  # has no irreducible loss to move
SINGLE_PRECISION = {"trees": 1e-4}  # LightGBM keeps losses in single precision


def proportions(runs: int = 36, seed: int = 0) -> Array:
    return np.random.default_rng(seed).dirichlet(np.full(len(DOMAINS), 0.8), runs)


def truth(mixtures: Array) -> Array:
    """Losses no law in the registry can have made exactly, so none is favoured."""
    helped = np.array([[1.0, 0.2, 0.7, 0.3], [0.2, 1.5, 0.1, 0.4], [0.1, 0.6, 0.3, 1.2]])
    return 2.0 + 1 / (0.4 + np.sqrt(mixtures) @ helped.T) - 0.3 * mixtures[:, :3]


def measured(runs: int = 36, noise: float = 0.01, seed: int = 0) -> tuple[Array, Array]:
    mixtures = proportions(runs, seed)
    return mixtures, truth(mixtures) + noise * np.random.default_rng(seed + 1).standard_normal((runs, len(TARGETS)))


@pytest.fixture(scope="module")
def fits() -> dict[str, MixingFit]:
    mixtures, losses = measured()
    losses[3, 1] = losses[10:14, 2] = np.nan
    return {kind: law.fit(DOMAINS, TARGETS, mixtures, losses) for kind, law in LAWS.items()}


def interior(count: int = 6) -> Iterator[Array]:
    yield from np.random.default_rng(7).dirichlet(np.full(len(DOMAINS), 3.0), count)


def central(function, point: Array, step: float = 1e-6) -> Array:  # type: ignore[no-untyped-def]
    """Derivative of a function of a mixture along each domain, in the last axis."""
    moves = step * np.eye(len(point))
    return np.stack([(function(point + move) - function(point - move)) / (2 * step) for move in moves], axis=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_has_the_shapes_it_promises(kind: str, fits: dict[str, MixingFit]) -> None:
    fit, runs, targets = fits[kind], 36, len(TARGETS)
    assert fit.law.kind == kind
    assert fit.law.predict(proportions(5)).shape == (5, targets)
    assert fit.law.convex.shape == fit.noise.shape == fit.freedom.shape == fit.objective.shape == (targets,)
    assert fit.weights.shape == (runs, targets)
    assert np.all(fit.noise > 0)
    assert np.all(fit.freedom >= 1)
    assert np.all((fit.weights >= 0) & (fit.weights <= 1))
    assert LAWS[kind].identifiable(len(DOMAINS)) >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_that_was_not_measured_weighs_nothing(kind: str, fits: dict[str, MixingFit]) -> None:
    weights = fits[kind].weights
    assert weights[3, 1] == 0
    assert np.all(weights[10:14, 2] == 0)
    assert np.count_nonzero(weights == 0) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_is_fitted_the_same_whatever_other_targets_lack(kind: str, fits: dict[str, MixingFit]) -> None:
    mixtures, losses = measured()
    kept = np.delete(np.arange(36), 3)
    alone = LAWS[kind].fit(DOMAINS, TARGETS[1:2], mixtures[kept], losses[kept, 1:2])
    together = fits[kind].law.predict(mixtures)[:, 1]
    assert alone.law.predict(mixtures)[:, 0] == pytest.approx(together, abs=1e-9)


@pytest.mark.parametrize("kind", SMOOTH)
def test_the_slope_is_the_derivative_of_the_prediction(kind: str, fits: dict[str, MixingFit]) -> None:
    law = fits[kind].law
    for mixture in interior():
        expected = central(lambda point: law.predict(point[None])[0], mixture)
        assert law.slope(mixture) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", PARAMETRIC)
def test_the_curvature_is_the_derivative_of_the_slope(kind: str, fits: dict[str, MixingFit]) -> None:
    law, weights = fits[kind].law, np.array([0.2, 0.0, 1.5])
    if kind == "m3":
        pytest.skip("M3 is never convex, and only convex laws have a curvature")
    for mixture in interior():
        curvature = law.curvature(mixture, weights)
        hessian = curvature.root.T @ curvature.root + np.diag(curvature.diagonal)
        expected = central(lambda point: weights @ law.slope(point), mixture)
        assert hessian == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_law_that_claims_to_be_convex_lies_below_its_chords(kind: str, fits: dict[str, MixingFit]) -> None:
    law = fits[kind].law
    generator = np.random.default_rng(3)
    left, right = generator.dirichlet(np.full(4, 0.3), 2000), generator.dirichlet(np.full(4, 0.3), 2000)
    above = law.predict((left + right) / 2) - (law.predict(left) + law.predict(right)) / 2
    assert np.all(above[:, law.convex] <= 1e-12 * np.abs(law.predict(left)[:, law.convex]))


@pytest.mark.parametrize("kind", PARAMETRIC)
def test_a_law_convex_in_every_target_has_a_curvature_that_never_turns_down(
    kind: str, fits: dict[str, MixingFit]
) -> None:
    law = fits[kind].law
    if not law.convex.all():
        pytest.skip(f"{kind} is not convex here")
    for mixture in interior():
        assert np.all(law.curvature(mixture, np.ones(3)).diagonal >= 0)


@pytest.mark.parametrize("kind", PARAMETRIC)
def test_parameter_slopes_and_priors_speak_of_the_same_parameters(kind: str, fits: dict[str, MixingFit]) -> None:
    fit = fits[kind]
    slopes = fit.law.parameter_slope(proportions(5))
    assert slopes.shape[:2] == (len(TARGETS), 5)
    assert fit.prior.shape == (len(TARGETS), slopes.shape[2], slopes.shape[2])
    assert slopes.shape[2] == LAWS[kind].identifiable(len(DOMAINS))


@pytest.mark.parametrize("kind", PARAMETRIC)
def test_leverages_add_up_to_the_parameters_that_the_runs_decide(kind: str, fits: dict[str, MixingFit]) -> None:
    """The delta method's ingredients agree with the fit's own degrees of freedom."""
    fit, mixtures = fits[kind], proportions()
    slopes = np.sqrt(fit.weights.T)[:, :, None] * fit.law.parameter_slope(mixtures)
    normal = np.matmul(slopes.transpose(0, 2, 1), slopes)
    leverage = np.einsum("vpp->v", np.linalg.solve(normal + fit.prior + 1e-12 * np.eye(normal.shape[1]), normal))
    assert leverage == pytest.approx((fit.weights > 0).sum(axis=0) - fit.freedom, abs=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_law_survives_json_to_the_last_bit(kind: str, fits: dict[str, MixingFit]) -> None:
    law = fits[kind].law
    text = json.dumps(law.parameters(), allow_nan=False)
    again = LAWS[kind].from_parameters(DOMAINS, TARGETS, json.loads(text))
    assert np.array_equal(again.predict(proportions()), law.predict(proportions()))
    assert json.dumps(again.parameters()) == text


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_another_law_are_refused(kind: str) -> None:
    with pytest.raises(Refused, match="fit the law again"):
        LAWS[kind].from_parameters(DOMAINS, TARGETS, {"something": [1.0]})


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_runs_domains_and_targets_does_not_matter(kind: str, fits: dict[str, MixingFit]) -> None:
    mixtures, losses = measured()
    losses[3, 1] = losses[10:14, 2] = np.nan
    generator = np.random.default_rng(5)
    rows, columns, targets = generator.permutation(36), generator.permutation(4), generator.permutation(3)
    shuffled = LAWS[kind].fit(
        tuple(DOMAINS[number] for number in columns),
        tuple(TARGETS[number] for number in targets),
        mixtures[rows][:, columns],
        losses[rows][:, targets],
    )
    expected = fits[kind].law.predict(mixtures)[:, targets]
    assert np.abs(shuffled.law.predict(mixtures[:, columns]) - expected).max() < 1e-9
    assert shuffled.noise == pytest.approx(fits[kind].noise[targets], rel=1e-7)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - FORGETFUL))
def test_a_constant_added_to_the_losses_is_added_to_the_predictions(kind: str) -> None:
    mixtures, losses = measured()
    law, added = LAWS[kind], np.array([1.0, -0.5, 3.0])
    plain = law.fit(DOMAINS, TARGETS, mixtures, losses).law.predict(mixtures)
    moved = law.fit(DOMAINS, TARGETS, mixtures, losses + added).law.predict(mixtures)
    assert np.abs(moved - plain - added).max() < SINGLE_PRECISION.get(kind, 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_a_run_do_not_make_a_fit_surer(kind: str) -> None:
    mixtures, losses = measured()
    law: type[MixingLaw] = LAWS[kind]
    once = law.fit(DOMAINS, TARGETS, mixtures, losses)
    thrice = law.fit(DOMAINS, TARGETS, np.vstack([mixtures] * 3), np.vstack([losses] * 3))
    assert np.array_equal(thrice.law.predict(mixtures), once.law.predict(mixtures))
    assert np.array_equal(thrice.freedom, once.freedom)
    assert thrice.weights.sum(axis=0) == pytest.approx(once.weights.sum(axis=0))


@pytest.mark.parametrize("kind", KINDS)
def test_repeats_of_a_mixture_that_differ_all_count(kind: str) -> None:
    mixtures, losses = measured()
    again = losses + 0.01 * np.random.default_rng(9).standard_normal(losses.shape)
    fit = LAWS[kind].fit(DOMAINS, TARGETS, np.vstack([mixtures] * 2), np.vstack([losses, again]))
    assert fit.weights.sum(axis=0) == pytest.approx(72, rel=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_mixtures_are_refused_by_target_and_number(kind: str) -> None:
    mixtures, losses = measured()
    losses[:, 1] = np.nan
    losses[:2, 1] = 3.0
    with pytest.raises(Refused, match=r"target 'python' is measured on 2 different mixtures; .* needs at least"):
        LAWS[kind].fit(DOMAINS, TARGETS, mixtures, losses)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_that_are_all_the_same_are_predicted_as_that(kind: str) -> None:
    mixtures = proportions()
    fit = LAWS[kind].fit(DOMAINS, TARGETS, mixtures, np.full((36, 3), 2.5))
    assert fit.law.predict(mixtures) == pytest.approx(2.5, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_two_domains_and_a_domain_nobody_trained_on_are_no_obstacle(kind: str) -> None:
    share = np.linspace(0.05, 0.95, 20)
    mixtures = np.column_stack([share, 1 - share, np.zeros(20)])
    losses = 2 + np.exp(-2 * share)[:, None] + 0.01 * np.random.default_rng(0).standard_normal((20, 1))
    fit = LAWS[kind].fit(("a", "b", "never"), ("t",), mixtures, losses)
    if kind != "m3":  # the product of the proportions is 0 in every run
        assert np.sqrt(np.mean((fit.law.predict(mixtures) - losses) ** 2)) < 0.1
