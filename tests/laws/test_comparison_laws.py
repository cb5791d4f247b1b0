"""The laws that are there to compare with: each gives back what it is the truth of."""

import subprocess
import sys

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.laws.bimix import BiMix
from mixlaw.laws.gaussian_process import GaussianProcess
from mixlaw.laws.growth import growth
from mixlaw.laws.product import Product
from mixlaw.laws.root_exponential import RootExponential
from mixlaw.laws.separable import Separable, SharedSeparable
from mixlaw.laws.sum_of_exponentials import SumOfExponentials
from mixlaw.laws.trees import TREES, Trees
from mixlaw.mixture import Array

DOMAINS = ("a", "b", "c")


def design(runs: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).dirichlet(np.ones(3), runs)


def m1(r: Array) -> Array:
    return 2 + 0.8 * np.exp(-3 * r[:, 0]) + 0.2 * np.exp(-r[:, 1]) + 0.3 * np.exp(-1.5 * r[:, 2])


def m2(r: Array) -> Array:
    return 1.5 + 0.7 * np.exp(r * [-3.0, -0.4, 0.5]).sum(axis=1)


def m3(r: Array) -> Array:
    return 2 + 0.6 * np.exp(-40 * r.prod(axis=1))


def root(r: Array) -> Array:
    return 2 + np.exp(0.5 + np.sqrt(r + 1e-4) @ [-1.5, -0.2, -0.8])


def two_exponentials(r: Array) -> Array:
    return 1.8 + np.exp(r @ [-4.0, 0.2, -0.3]) + np.exp(r @ [-0.2, -3.0, -1.0])


def bimix(r: Array) -> Array:
    return ((r + 1e-4) ** [-0.2, -0.05, -0.1]) @ [1.0, 0.8, 0.6]


@pytest.mark.parametrize(
    ("law", "truth", "close"),
    [
        (Separable, m1, 1e-6),
        (SharedSeparable, m2, 1e-8),
        (Product, m3, 1e-8),
        (RootExponential, root, 1e-8),
        (SumOfExponentials, two_exponentials, 1e-3),
        (BiMix, bimix, 1e-6),
    ],
    ids=["m1", "m2", "m3", "root", "sum", "bimix"],
)
def test_each_law_predicts_its_own_truth_on_fresh_mixtures(law, truth, close: float) -> None:  # type: ignore[no-untyped-def]
    mixtures, fresh = design(60), design(100, seed=1)
    fitted = law.fit(DOMAINS, ("t",), mixtures, truth(mixtures)[:, None]).law
    assert np.abs(fitted.predict(fresh)[:, 0] - truth(fresh)).max() < close


def test_convexity_of_m1_is_read_off_its_constants() -> None:
    mixtures = design(60)
    bowl = Separable.fit(DOMAINS, ("t",), mixtures, (2 + np.exp(-2 * mixtures).sum(axis=1))[:, None]).law
    dome = Separable.fit(DOMAINS, ("t",), mixtures, (m1(mixtures) - 0.3 * np.exp(mixtures[:, 1]))[:, None]).law
    assert bowl.convex.tolist() == [True]
    assert dome.convex.tolist() == [False]


def test_bimix_has_the_optimum_that_its_formula_has() -> None:
    """Equal exponents a: the best proportions go with F_j^(1 / (1 + a))."""
    factors, exponent = np.array([1.0, 0.5, 2.0]), 0.3
    law = BiMix(DOMAINS, ("t",), np.log(factors)[None], np.full((1, 3), exponent), 0.0)
    best = factors ** (1 / (1 + exponent))
    slope = law.slope(best / best.sum())[0]
    assert np.ptp(slope) < 1e-12


def test_m3_cannot_tell_mixtures_apart_that_leave_a_domain_out() -> None:
    mixtures = design(30)
    law = Product.fit(DOMAINS, ("t",), mixtures, m3(mixtures)[:, None]).law
    corners = law.predict(np.array([[1.0, 0, 0], [0.2, 0.8, 0], [0, 0.5, 0.5]]))
    assert np.ptp(corners) == 0


def test_a_gaussian_process_is_the_one_scikit_learn_fits() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    mixtures = design(30)
    losses = m1(mixtures) + 0.02 * np.random.default_rng(0).standard_normal(30)
    law = GaussianProcess.fit(DOMAINS, ("t",), mixtures, losses[:, None]).law
    kernel = ConstantKernel(1.0, (1e-3, 1e4)) * RBF(0.5, (1e-2, 1e2)) + WhiteKernel(0.01, (1e-5, 1.0))
    order = np.lexsort(np.column_stack([mixtures, losses]).T[::-1])
    oracle = GaussianProcessRegressor(kernel, alpha=1e-12, normalize_y=True).fit(mixtures[order], losses[order])
    fresh = design(20, seed=3)
    assert law.predict(fresh)[:, 0] == pytest.approx(oracle.predict(fresh), abs=1e-7)


def test_trees_are_refused_with_the_way_out_where_lightgbm_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    mixtures = design(30)
    with pytest.raises(Refused, match=r"mixlaw\[baselines\]"):
        Trees.fit(DOMAINS, ("t",), mixtures, m1(mixtures)[:, None])


def test_trees_do_not_choose_their_number_by_looking() -> None:
    """As many trees whatever the losses: nothing is stopped early."""
    mixtures, generator = design(40), np.random.default_rng(0)
    losses = np.column_stack([m1(mixtures), generator.standard_normal(40)])
    law = Trees.fit(DOMAINS, ("signal", "noise"), mixtures, losses).law
    assert isinstance(law, Trees)
    assert [forest.count("\nTree=") for forest in law.forests] == [TREES, TREES]


def test_trees_say_that_they_have_no_slope() -> None:
    mixtures = design(30)
    law = Trees.fit(DOMAINS, ("t",), mixtures, m1(mixtures)[:, None]).law
    with pytest.raises(Refused, match="optimise with another law"):
        law.slope(mixtures[0])


def test_laws_are_imported_without_their_heavy_companions() -> None:
    code = "import sys, mixlaw.laws; print([name for name in ('lightgbm', 'sklearn', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_kinds_are_the_names_of_the_registry() -> None:
    assert all(law.kind == kind for kind, law in LAWS.items())
    assert {"exponential", "reciprocal", "linear", "m1", "m2", "m3"} <= set(LAWS)


@pytest.mark.parametrize("x", [-30.0, -0.3, -0.0501, -0.0499, -1e-9, 0.0, 1e-6, 0.0499, 0.0501, 0.7, 20.0])
def test_growth_and_its_derivatives_are_those_of_their_integrals(x: float) -> None:
    """g(x) is the integral of exp(x s) over s in (0, 1), and each derivative brings down a factor s."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    s, weights = (nodes + 1) / 2, weights / 2
    for power, value in enumerate(growth(np.array([x]))):
        assert value[0] == pytest.approx(float(weights @ (s**power * np.exp(x * s))), rel=1e-11)
