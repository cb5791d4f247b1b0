"""The exponential law: planted, closed form, against an independent optimiser, and on published runs."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from mixlaw.laws.exponential import Exponential, by_huber
from mixlaw.laws.sum_of_exponentials import SumOfExponentials
from mixlaw.mixture import Array
from mixlaw.runs import read_runs


def names(count: int) -> tuple[str, ...]:
    return tuple(f"name {number}" for number in range(count))


@pytest.mark.parametrize("seed", range(20))
def test_exact_losses_give_the_law_back_on_fresh_mixtures(seed: int) -> None:
    generator = np.random.default_rng(seed)
    domains = int(generator.integers(2, 9))
    runs = int(generator.integers(3 * domains, 5 * domains))
    mixtures, fresh = (generator.dirichlet(np.ones(domains), count) for count in (runs, 200))
    irreducible, exponents = generator.uniform(0.5, 4, 5), generator.normal(-0.5, 1.5, (5, domains))
    fit = Exponential.fit(names(domains), names(5), mixtures, irreducible + np.exp(mixtures @ exponents.T))
    assert np.abs(fit.law.predict(fresh) - irreducible - np.exp(fresh @ exponents.T)).max() < 1e-8


def test_only_the_sum_of_slope_and_log_factor_is_identified() -> None:
    """k exp(t.r) with t + a and k exp(-a) are one law on the simplex (Ye et al. 2024): t_j + log k comes back."""
    generator = np.random.default_rng(0)
    mixtures, slopes, factor = generator.dirichlet(np.ones(3), 20), np.array([-2.0, 0.3, -0.5]), 1.7
    losses = 1.2 + factor * np.exp(mixtures @ slopes)
    law = Exponential.fit(names(3), ("t",), mixtures, losses[:, None]).law
    assert isinstance(law, Exponential)
    assert law.exponents[0] == pytest.approx(slopes + np.log(factor), abs=1e-8)
    assert law.irreducible[0] == pytest.approx(1.2, abs=1e-8)
    k, t = law.paper_constants()
    assert t.sum() == pytest.approx(0, abs=1e-12)
    assert t[0] + np.log(k[0]) == pytest.approx(law.exponents[0], abs=1e-12)


def test_the_two_domain_law_is_predicted_from_three_runs() -> None:
    """c = 2, k = 1, t = -2 in the first domain: from shares 1/4, 1/2, 3/4, the loss at 0.6 is 2.3012."""
    share = np.array([0.25, 0.5, 0.75])
    losses = np.array([[2.6065307], [2.3678794], [2.2231302]])
    law = Exponential.fit(("code", "prose"), ("code",), np.column_stack([share, 1 - share]), losses).law
    assert law.predict(np.array([[0.6, 0.4]]))[0, 0] == pytest.approx(2.3012, abs=5e-5)


def test_the_optimum_of_two_equal_targets_is_where_calculus_puts_it() -> None:
    """L1 = 2 + exp(-2 r), L2 = 1 + 1.5 exp(-3 (1 - r)): least mean at r = (3 - log 2.25) / 5."""
    share = np.linspace(0, 1, 12)
    mixtures = np.column_stack([share, 1 - share])
    losses = np.column_stack([2 + np.exp(-2 * share), 1 + 1.5 * np.exp(-3 * (1 - share))])
    law = Exponential.fit(("a", "b"), ("one", "two"), mixtures, losses).law
    best = (3 - np.log(2.25)) / 5
    at = np.array([best, 1 - best])
    least = (2 + np.exp(-2 * best) + 1 + 1.5 * np.exp(-3 * (1 - best))) / 2
    assert law.predict(at[None]).mean() == pytest.approx(least, abs=1e-9)
    assert least == pytest.approx(1.84717, abs=5e-6)
    slope = law.slope(at).mean(axis=0)
    assert slope[0] == pytest.approx(slope[1], abs=1e-7)


def test_a_sum_of_one_exponential_is_the_exponential_law() -> None:
    class One(SumOfExponentials):
        terms = 1

    generator = np.random.default_rng(4)
    mixtures, fresh = generator.dirichlet(np.ones(4), 30), generator.dirichlet(np.ones(4), 50)
    losses = 2 + np.exp(mixtures @ generator.normal(-0.5, 1, (4, 3)))
    for noise in (0.0, 0.01):
        noisy = losses + noise * generator.standard_normal(losses.shape)
        single = Exponential.fit(names(4), names(3), mixtures, noisy).law
        summed = One.fit(names(4), names(3), mixtures, noisy).law
        assert summed.predict(fresh) == pytest.approx(single.predict(fresh), abs=1e-7)


def test_nearly_linear_losses_do_not_identify_the_irreducible_loss() -> None:
    generator = np.random.default_rng(1)
    mixtures = generator.dirichlet(np.ones(3), 30)
    losses = mixtures @ np.array([[3.0], [2.5], [4.0]]) + 0.01 * generator.standard_normal((30, 1))
    fit = Exponential.fit(names(3), ("t",), mixtures, losses)
    assert any("irreducible loss not identified" in line for line in fit.notes["t"])
    assert fit.law.predict(mixtures) == pytest.approx(losses, abs=0.05)


def test_a_domain_whose_first_trace_does_all_is_an_unbounded_direction() -> None:
    generator = np.random.default_rng(2)
    mixtures = generator.dirichlet(np.ones(3), 40)
    mixtures[:20, 0] = 0
    mixtures /= mixtures.sum(axis=1, keepdims=True)
    losses = 2 + (mixtures[:, 0] == 0) * np.exp(-mixtures[:, 1]) + 0.001 * generator.standard_normal(40)
    fit = Exponential.fit(("rare", "b", "c"), ("t",), mixtures, losses[:, None])
    assert any(line.startswith("unbounded direction: 'rare' does all it can within") for line in fit.notes["t"])


def test_fewer_runs_than_parameters_are_fitted_by_what_is_known_beforehand() -> None:
    generator = np.random.default_rng(3)
    mixtures = generator.dirichlet(np.ones(8), 7)
    losses = 2 + np.exp(mixtures @ generator.normal(-0.5, 1, (8, 1))) + 0.01 * generator.standard_normal((7, 1))
    fit = Exponential.fit(names(8), ("t",), mixtures, losses)
    corners = fit.law.predict(np.eye(8))
    assert np.all(np.abs(corners - losses.mean()) < 5 * np.ptp(losses))


def squares(curve: Array, mixtures: Array, losses: Array) -> float:
    return float(((losses - curve[0] - np.exp(mixtures @ curve[1:])) ** 2).sum())


def best_of_starts(mixtures: Array, losses: Array, count: int) -> float:
    """Least sum of squares from random starts of scipy's trust-region solver with the analytic Jacobian."""
    generator = np.random.default_rng(0)
    best = np.inf
    for _ in range(count):
        start = np.concatenate([[losses.min() - generator.uniform(0, 1)], generator.normal(0, 1, mixtures.shape[1])])
        found = least_squares(
            lambda theta: theta[0] + np.exp(np.minimum(mixtures @ theta[1:], 30)) - losses,
            start,
            jac=lambda theta: np.column_stack(
                [np.ones(len(losses)), np.exp(np.minimum(mixtures @ theta[1:], 30))[:, None] * mixtures]
            ),
            x_scale="jac",
            max_nfev=200,
        )
        best = min(best, squares(found.x, mixtures, losses))
    return best


def test_real_runs_are_fitted_as_well_as_by_many_starts_of_a_general_solver(reference: Path) -> None:
    """Every target; the best law of some lies flat among the losses, where a search below them does not look."""
    table = read_runs(reference / "redpajama.csv")
    table = table.where((table.params < 2e7) & (table.frame["step"] == 30000))
    _, _, found = by_huber(table.proportions, table.losses, delta=np.inf)
    rival = [best_of_starts(table.proportions, table.losses[:, number], 6) for number in range(len(table.targets))]
    assert len(rival) == 22 and (found <= 1.0005 * np.array(rival)).all()


def test_few_runs_that_say_little_are_fitted_as_the_paper_does_when_asked() -> None:
    """Huber's function alone, with no guess of a domain's own loss: lower than the law fitted with that guess."""
    generator = np.random.default_rng(3)
    mixtures = generator.dirichlet(np.ones(5), 12)
    losses = 3 + np.exp(mixtures @ generator.normal(-1, 1, (5, 2))) + 0.05 * generator.standard_normal((12, 2))
    irreducible, exponents, objective = by_huber(mixtures, losses, delta=0.05)
    residuals = np.abs(losses - irreducible - np.exp(mixtures @ exponents.T))
    rho = np.where(residuals <= 0.05, residuals**2, 0.1 * residuals - 0.05**2).sum(axis=0)
    assert objective == pytest.approx(rho, rel=1e-9)
    residuals = np.abs(losses - Exponential.fit(names(5), names(2), mixtures, losses).law.predict(mixtures))
    assert (rho < np.where(residuals <= 0.05, residuals**2, 0.1 * residuals - 0.05**2).sum(axis=0)).all()
