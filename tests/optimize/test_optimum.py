"""What `mixlaw.optimize` says of an optimum is true, and what a file says is the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture, read_mixture
from mixlaw.optimize import find
from mixlaw.optimize.find import optimize
from mixlaw.optimize.interior_point import Solution
from mixlaw.optimize.optimum import read_optimum, write_optimum
from mixlaw.optimize.program import Program
from mixlaw.runs import check_runs

Planted = Callable[..., pd.DataFrame]
DOMAINS = ("books", "code", "web")


def scarce(law: Law, max_epochs: float = 4) -> Limits:
    tokens = {"books": 4e6, "code": 5e5, "web": 2e7}
    return Limits.of(law.domains, available=tokens, budget_tokens=1e7, max_epochs=max_epochs)


def test_no_mixture_of_a_fine_grid_has_a_lower_loss(law: Law) -> None:
    weights = {"code": 3.0, "web": 1.0}
    found = optimize(law, weights=weights, limits=scarce(law))
    grid = np.array([(i, j, 100 - i - j) for i in range(101) for j in range(101 - i)]) / 100
    allowed = grid[[scarce(law).allows(row) for row in grid]]
    losses = law.at().law.predict(allowed) @ np.array([0.75, 0.25])
    assert found.loss <= losses.min() + 1e-9
    assert found.lower_bound is not None and found.lower_bound <= losses.min() + 1e-12
    assert found.certified and found.gap is not None and found.gap <= 1e-9
    assert found.weights == pytest.approx({"code": 0.75, "web": 0.25})


def test_the_loss_is_the_laws_and_the_interval_its_uncertaintys(law: Law) -> None:
    found = optimize(law, interval=0.5)
    row = law.predict({"optimum": found.mixture}, interval=0.5).set_index("target")
    assert (found.loss, found.low, found.high) == pytest.approx(tuple(row.loc["(weighted)", ["loss", "low", "high"]]))
    assert dict(found.losses) == pytest.approx({name: row.loc[name, "loss"] for name in law.targets})


def test_baselines_are_predicted_and_compared(law: Law) -> None:
    found = optimize(law, limits=scarce(law), baselines={"current": Mixture(("code", "web"), (0.5, 0.5))})
    assert list(found.baselines) == ["natural", "uniform", "best measured", "current"]
    natural = found.baselines["natural"]
    assert natural.mixture.as_dict() == pytest.approx({"books": 4 / 24.5, "code": 0.5 / 24.5, "web": 20 / 24.5})
    assert natural.allowed and not found.baselines["current"].allowed
    assert natural.loss == pytest.approx(law.predict({"n": natural.mixture}).iloc[-1]["loss"])
    assert natural.probability_better is not None and 0.5 < natural.probability_better <= 1
    best = np.array(law.evidence.losses, dtype=float).mean(axis=1).argmin()
    assert found.baselines["best measured"].mixture.proportions == pytest.approx(law.evidence.proportions[best])


def test_doubt_is_said_of_allowed_baselines_alone(law: Law) -> None:
    """With noise of 0.01 nats uniform is surely worse than the optimum, so the doubt is made by asking for little."""
    near = {"near": optimize(law).mixture}
    free = optimize(law, baselines=near, limits=Limits.of(law.domains, caps={"code": 0.999}))
    assert any("one on the near mixture with probability 0.5" in warning for warning in free.warnings) or (
        free.mixture == near["near"]
    )
    capped = optimize(law, baselines=near, limits=Limits.of(law.domains, caps={"code": 0.45}))
    assert not capped.baselines["near"].allowed
    assert not any("near mixture" in warning for warning in capped.warnings)
    better = capped.baselines["near"].probability_better
    assert better is not None and better < 0.9


def test_a_solver_that_meets_no_limit_is_not_believed(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = find.solve

    def astray(program: Program, **asked: object) -> Solution:
        return replace(honest(program), proportions=np.array([0.5, 0.5, 0.5]))

    monkeypatch.setattr(find, "solve", astray)
    with pytest.raises(Refused, match=r"met the limits only to within 5.0e-01"):
        optimize(law)


def test_the_best_measured_mixture_is_not_the_luckiest_repeat(planted: Planted) -> None:
    table = planted(runs=12)
    lucky = table.iloc[[0, 0, 0]].copy()
    lucky["run"] = ["r1", "r2", "r3"]
    best = table[["loss.code", "loss.web"]].mean(axis=1).min()
    for name in ("code", "web"):
        lucky[f"loss.{name}"] = [best - 0.1, best + 0.2, best + 0.2]
    found = optimize(fit(check_runs(pd.concat([table.iloc[1:], lucky])), "exponential"))
    lucky_mixture = tuple(table.loc[0, [f"mix.{name}" for name in DOMAINS]])
    assert found.baselines["best measured"].mixture.proportions != pytest.approx(lucky_mixture)


def test_a_natural_mixture_that_is_not_known_is_not_guessed(law: Law) -> None:
    found = optimize(law)
    assert "natural" not in found.baselines
    assert any("the natural mixture is not known" in warning for warning in found.warnings)
    given = optimize(law, baselines={"natural": Mixture.uniform(DOMAINS)})
    assert given.baselines["natural"].mixture == Mixture.uniform(DOMAINS)
    assert not any("natural mixture is not known" in warning for warning in given.warnings)


def test_epochs_and_the_price_of_one_more_are_said(law: Law) -> None:
    found = optimize(law, limits=scarce(law))
    assert found.epochs["code"] == pytest.approx(4.0)
    (active,) = [limit for limit in found.active if limit.domain == "code"]
    assert active.words.startswith("one more epoch of 'code' would lower the loss by 0.0")
    five = optimize(law, limits=replace(scarce(law), cap=np.array([1.0, 0.25, 1.0])))
    assert active.saving == pytest.approx(found.loss - five.loss, abs=1e-6)


def test_the_worst_case_objective_evens_out_the_targets(law: Law) -> None:
    found = optimize(law, objective="worst")
    assert found.loss == pytest.approx(max(found.losses.values()))
    assert found.losses["code"] == pytest.approx(found.losses["web"], abs=1e-7)
    assert found.certified and found.low < found.loss < found.high
    assert all(baseline.probability_better is None for baseline in found.baselines.values())


def test_a_loss_limit_is_kept_and_priced(law: Law) -> None:
    free = optimize(law, weights={"code": 1})
    bound = free.losses["web"] - 0.05
    found = optimize(law, weights={"code": 1}, at_most={"web": bound})
    assert found.losses["web"] <= bound + 1e-9
    assert found.loss > free.loss
    assert any(limit.limit.startswith("loss of 'web' at most") for limit in found.active)
    with pytest.raises(Refused, match="loss of 'web' can be brought to"):
        optimize(law, at_most={"web": 1.0})


def test_a_prior_pulls_by_default_and_a_ball_around_it_is_kept(law: Law) -> None:
    prior = Mixture(DOMAINS, (0.2, 0.2, 0.6))
    free, pulled, within = (
        optimize(law),
        optimize(law, prior=prior),
        optimize(law, prior=prior, within_kl=0.01),
    )
    assert pulled.kl == 0.05 and pulled.certified
    assert pulled.loss >= free.loss
    assert pulled.loss + 0.05 * pulled.divergence <= free.loss + 0.05 * _divergence(free.mixture, prior) + 1e-9
    assert within.divergence == pytest.approx(0.01, abs=1e-8) and within.kl == 0
    assert any("divergence from the prior at most 0.01" in limit.limit for limit in within.active)


def _divergence(mixture: Mixture, prior: Mixture) -> float:
    p, q = np.array(mixture.proportions), np.array(prior.proportions)
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


def test_a_mixture_beyond_the_runs_is_said_and_trust_keeps_it_within(planted: Planted) -> None:
    table = planted(runs=60)
    table = table[table["mix.code"] < 0.3]
    law = fit(check_runs(table), "exponential")
    largest = float(table["mix.code"].max())
    free, trusted = optimize(law), optimize(law, trust=True)
    assert free.mixture.as_dict()["code"] > 1.5 * largest
    assert any("of 'code'," in warning and "--trust" in warning for warning in free.warnings)
    assert trusted.mixture.as_dict()["code"] == pytest.approx(1.5 * largest)
    assert any("1.5 times the largest proportion of any run" in limit.limit for limit in trusted.active)


def test_the_winners_curse_is_said_in_numbers_where_it_is_felt(planted: Planted) -> None:
    noisy = optimize(fit(check_runs(planted(runs=12, noise=0.1)), "exponential"))
    assert noisy.expected_regret is not None and noisy.expected_regret > 1e-3
    assert any("the winner's curse" in warning for warning in noisy.warnings)
    exact = optimize(fit(check_runs(planted(runs=60, noise=1e-4)), "exponential"))
    assert exact.expected_regret is not None and exact.expected_regret < 1e-3
    assert not any("the winner's curse" in warning for warning in exact.warnings)


def test_an_optimum_of_too_few_runs_says_that_priors_decide(planted: Planted) -> None:
    few, enough = (optimize(fit(check_runs(planted(runs=runs)), "reciprocal")) for runs in (5, 60))
    assert any(warning.startswith("prior-dominated: 5 mixtures") for warning in few.warnings)
    assert not any("prior-dominated" in warning for warning in enough.warnings)


def test_the_baselines_that_may_be_as_good_are_named_in_one_warning(planted: Planted) -> None:
    near = optimize(fit(check_runs(planted(runs=60, noise=0.3)), "exponential"))
    unsure = [name for name, each in near.baselines.items() if (each.probability_better or 1) < 0.9]
    said = [warning for warning in near.warnings if "cannot tell them apart" in warning]
    assert len(said) == 1 and unsure and all(f"({name})" in said[0] for name in unsure)
    sure = optimize(fit(check_runs(planted(runs=60, noise=1e-4)), "exponential"))
    assert not any("tell them apart" in warning for warning in sure.warnings)


def test_near_optimal_ranges_hold_the_optimum_and_can_be_left_out(law: Law) -> None:
    found = optimize(law, slack=0.005)
    for domain, share in found.mixture.as_dict().items():
        low, high = found.near_optimal[domain]
        assert low - 1e-6 <= share <= high + 1e-6
    assert optimize(law, slack=0).near_optimal == {}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"objective": "best"}, "no objective is called 'best'"),
        ({"weights": {"wbe": 1.0}}, "no target is called 'wbe'; did you mean 'web'"),
        ({"weights": {"web": 0.0}}, "every weight is 0"),
        ({"weights": {"web": -1.0}}, "the weight of 'web' is -1"),
        ({"kl": 0.05}, "give --prior"),
        ({"kl": -1.0, "prior": Mixture.uniform(DOMAINS)}, "kl is -1"),
        ({"prior": Mixture(("web", "code"), (0.5, 0.5))}, "the prior has 0 of books"),
        ({"prior": Mixture(("web", "cod"), (0.5, 0.5))}, "the prior: no domain is called 'cod'"),
        ({"at_most": {"wbe": 2.0}}, "no target is called 'wbe'"),
        ({"at_most": {"web": 0.0}}, "must be a positive number"),
        ({"baselines": {"current": Mixture(("cod",), (1.0,))}}, "the current mixture: no domain is called 'cod'"),
        ({"slack": -1.0}, "the slack is -1"),
        ({"interval": 90.0}, "between 0 and 1"),
        ({"limits": Limits.simplex(("a", "b"))}, "the limits are for a, b, the law for books, code, web"),
    ],
)
def test_questions_without_an_answer_are_refused(law: Law, asked: dict[str, object], message: str) -> None:
    with pytest.raises(Refused, match=message):
        optimize(law, **asked)  # type: ignore[arg-type]


def test_a_prior_of_zero_is_no_harm_where_the_cap_is_zero_too(law: Law) -> None:
    limits = Limits.of(law.domains, caps={"books": 0.0})
    found = optimize(law, limits=limits, prior=Mixture(("web", "code"), (0.5, 0.5)))
    assert found.certified and found.mixture.as_dict()["books"] == 0


def test_an_optimum_file_reads_back_to_the_same_optimum(law: Law, tmp_path: Path) -> None:
    path = tmp_path / "optimum.json"
    found = optimize(law, limits=scarce(law), baselines={"current": Mixture.uniform(DOMAINS)})
    write_optimum(found, path)
    assert read_optimum(path) == found
    assert read_mixture(path) == Mixture.of(found.mixture.as_dict())
    assert path.read_text() == json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True) + "\n"


def test_an_optimum_file_has_the_fields_that_others_hold_on_to(law: Law, tmp_path: Path) -> None:
    write_optimum(optimize(law, limits=scarce(law)), tmp_path / "optimum.json")
    content = json.loads((tmp_path / "optimum.json").read_text())
    assert set(content["mixture"]) == set(DOMAINS) and sum(content["mixture"].values()) == 1
    assert all(isinstance(content[key], float) for key in ("loss", "low", "high", "lower_bound", "gap"))
    assert content["certified"] is True
    assert set(content["losses"]) == {"code", "web"}
    assert set(content["baselines"]) == {"natural", "uniform", "best measured"}
    assert all(isinstance(loss, float) for loss in content["baselines"].values())
    assert all(len(ends) == 2 for ends in content["near_optimal"].values())
    assert isinstance(content["active"], list) and isinstance(content["warnings"], list)
    assert content["law"] == "exponential" and content["version"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("certified"), "is not an optimum"),
        (lambda content: content.pop("loss"), "'loss' is missing"),
        (lambda content: content.update(gap="small"), "'gap' is .*number"),
        (lambda content: content["mixture"].update(web=0.9), "sum to"),
        (lambda content: content["baseline_mixtures"].pop("uniform"), "baseline 'uniform' has no mixture"),
    ],
)
def test_a_broken_optimum_file_is_refused_with_the_place(
    law: Law, tmp_path: Path, change: Callable[[dict[str, object]], object], message: str
) -> None:
    path = tmp_path / "optimum.json"
    write_optimum(optimize(law, slack=0), path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(Refused, match=message) as refused:
        read_optimum(path)
    assert str(path) in str(refused.value)
