"""Order is learnt from runs in two stages, and the schedule that it gives is proved the best of its length."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.laws.reciprocal import Reciprocal
from mixlaw.limits import Limits
from mixlaw.optimize.at_share import best_at
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.program import Program
from mixlaw.optimize.recency import recency_of
from mixlaw.optimize.schedule import schedule
from mixlaw.optimize.two_stages import Staged, base_of, felt, felt_share, limits_in_turn
from mixlaw.runs import RunTable, check_runs

DOMAINS = ("books", "code", "web")
SLOPES = np.array([(0.1, -2.0, 0.3), (-1.5, 0.2, -0.6)])
NOISE = 0.01


def losses(mixtures: np.ndarray) -> np.ndarray:
    return 1.9 + np.exp(mixtures @ SLOPES.T)


def table_of(mixtures: np.ndarray, measured: np.ndarray, **more: np.ndarray) -> RunTable:
    frame = pd.DataFrame(mixtures, columns=[f"mix.{name}" for name in DOMAINS])
    frame[["loss.code", "loss.web"]] = measured
    for name, values in more.items():
        frame[name] = values
    frame["run"] = [f"{'two' if more else 'one'}-{number}" for number in range(len(frame))]
    return check_runs(frame.assign(params=1_000_000, tokens=10_000_000))


@pytest.fixture(scope="module")
def law() -> Law:
    random = np.random.default_rng(0)
    mixtures = random.dirichlet(np.full(3, 0.7), 40)
    return fit(table_of(mixtures, losses(mixtures) + NOISE * random.standard_normal((40, 2))), "exponential")


def two_stages(
    recency: float, seed: int = 0, runs: int = 24, noise: float = NOISE, alike: float = 0.0, power: float = 1.0
) -> RunTable:
    """Runs whose losses are those of what is felt, of a fifth at a recency; `alike` brings the phases together."""
    random = np.random.default_rng((seed, 1))
    base, final = random.dirichlet(np.full(3, 0.7), (2, runs))
    final, share = alike * base + (1 - alike) * final, random.choice([0.1, 0.2, 0.3], runs)
    longer = 4 * share / (1 - share)
    measured = losses(felt(base, final, share, recency * longer ** (power - 1))) + noise * random.standard_normal(
        (runs, 2)
    )
    total = (1 - share)[:, None] * base + share[:, None] * final
    finals = {f"final.{name}": final[:, place] for place, name in enumerate(DOMAINS)}
    return table_of(total, measured, final_share=share, **finals)


def law_of(seed: int, kind: str = "exponential", domains: int = 5) -> MixingLaw:
    """A law of three targets, as fits give them."""
    random = np.random.default_rng(seed)
    names = tuple(f"d{j}" for j in range(domains)), tuple(f"t{v}" for v in range(3))
    if kind == "exponential":
        mixtures = random.dirichlet(np.full(domains, 0.6), 60)
        slopes = 1.5 * random.standard_normal((3, domains))
        return LAWS[kind].fit(*names, mixtures, 2 + np.exp(mixtures @ slopes.T - 1)).law
    strengths, exponents = random.normal(-0.5, 1.0, (3, domains)), random.uniform(0.3, 1.0, (3, domains))
    return Reciprocal(*names, np.full(3, 1.5), strengths, exponents, random.uniform(0.5, 2.0, 3), 1e-3, np.full(3, 9.0))


def in_turn(law: MixingLaw, seed: int, share: float) -> tuple[Limits, Limits, Limits]:
    """Text for three runs in all, some of it scarce, and a cap on each phase."""
    random = np.random.default_rng((seed, 2))
    whole = Limits.simplex(law.domains)
    scarce = np.minimum(3 * random.dirichlet(np.ones(len(law.domains))), 1.0)
    whole = whole.with_caps(scarce, "scarce")
    phases = (Limits.of(law.domains, caps={"d0": 0.5}), Limits.of(law.domains, floors={"d1": 0.1}, caps={"d2": 0.6}))
    return whole, *phases


@pytest.mark.parametrize(("recency", "power"), [(0.6, 1.0), (1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (4.0, 2.0), (3.0, 0.5)])
def test_a_planted_recency_is_found_within_its_interval(law: Law, recency: float, power: float) -> None:
    inside, off, powers = 0, [], []
    for seed in range(12):
        found = recency_of(law, two_stages(recency, seed, power=power))
        middle = recency * (4 * found.length / (1 - found.length)) ** (power - 1)
        inside += found.low <= middle <= found.high
        off.append(np.log(found.at(0.2) / recency))
        powers.append((found.power - power) / np.sqrt(found.covariance[1][1]))
    assert inside >= 9 and abs(np.mean(off)) < 0.12
    assert found.error_at(0.2) < 0.35 and found.misfit == pytest.approx(1, abs=0.35)
    assert abs(np.mean(powers)) < 1 and np.abs(powers).max() < 3.5


def test_without_noise_recency_and_power_are_found_to_three_digits() -> None:
    random = np.random.default_rng(3)
    mixtures = random.dirichlet(np.full(3, 0.7), 60)
    exact = fit(table_of(mixtures, losses(mixtures) + 1e-5 * random.standard_normal((60, 2))), "exponential")
    found = recency_of(exact, two_stages(2.5, noise=1e-5, power=1.7))
    assert found.at(0.2) == pytest.approx(2.5, rel=1e-3) and found.power == pytest.approx(1.7, abs=1e-3)


def test_final_phases_of_one_length_leave_the_power_where_it_was_and_other_lengths_unsure(law: Law) -> None:
    table = two_stages(3.0, runs=60)
    found = recency_of(law, table.where(table.final_shares == 0.2))
    assert found.power == pytest.approx(1.0, abs=1e-6) and found.covariance[1][1] >= 0.99
    assert found.error_at(0.05) > 1 > 3 * found.error_at(0.2)


def test_runs_left_out_are_predicted_better_where_order_matters_and_not_where_it_does_not(law: Law) -> None:
    late, never = recency_of(law, two_stages(4.0)), recency_of(law, two_stages(1.0))
    assert late.told and late.held_out < 0.5 * late.held_out_total and late.closer > 18
    assert not never.told and never.held_out == pytest.approx(never.held_out_total, rel=0.15)


def test_each_target_says_what_recency_it_would_have_had(law: Law) -> None:
    found = recency_of(law, two_stages(3.0, runs=60))
    assert all(alone == pytest.approx(3.0, rel=0.4) for alone in found.by_target.values() if alone is not None)
    assert set(found.by_target) == {"code", "web"}


def test_the_order_of_runs_and_columns_does_not_matter(law: Law) -> None:
    table = two_stages(2.0)
    turned = check_runs(table.frame.iloc[::-1, ::-1])
    assert recency_of(law, turned).factor == pytest.approx(recency_of(law, table).factor, rel=1e-9)


REFUSED = {
    "no run in two stages": (lambda: two_stages(2.0).where(np.zeros(24, dtype=bool)), "has no run in two stages"),
    "too few": (lambda: two_stages(2.0, runs=3), "3 runs in two stages; at least 4"),
    "phases alike": (lambda: two_stages(2.0, alike=0.999), "leave the recency open|beyond"),
    "other domains": (
        lambda: check_runs(two_stages(2.0).frame.rename(columns=lambda c: c.replace(".books", ".maths"))),
        "is of maths, code, web, the law of",
    ),
    "a target never measured": (
        lambda: check_runs(two_stages(2.0).frame.drop(columns="loss.web")),
        "no losses of the law's web",
    ),
    "another scale": (lambda: check_runs(two_stages(2.0).frame.assign(tokens=10**9)), "one scale"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_runs_that_cannot_tell_the_recency_are_refused(law: Law, name: str) -> None:
    table, message = REFUSED[name]
    with pytest.raises(Refused, match=message):
        schedule(law, table())


def test_a_loss_that_was_not_measured_is_passed_over(law: Law) -> None:
    table = two_stages(2.0, runs=40)
    frame = table.frame.copy()
    frame.loc[:3, "loss.web"] = np.nan
    assert recency_of(law, check_runs(frame)).factor == pytest.approx(recency_of(law, table).factor, rel=0.2)


@given(st.floats(0.01, 0.99), st.floats(0.02, 50.0))
@settings(max_examples=60, deadline=None)
def test_what_is_felt_of_a_phase_is_what_a_density_over_the_run_has_there(share: float, recency: float) -> None:
    def density(place: np.ndarray) -> np.ndarray:
        return recency / ((1 - place) * recency + place) ** 2

    nodes, sizes = np.polynomial.legendre.leggauss(400)
    places = 1 - share + share * (nodes + 1) / 2
    assert felt_share(share, recency) == pytest.approx(float(density(places) @ sizes) * share / 2, rel=1e-6)
    assert felt_share(share, 1.0) == pytest.approx(share)
    base, final = np.random.default_rng(0).dirichlet(np.ones(4), 2)
    total = felt(base[None], final[None], share, 1.0)
    np.testing.assert_allclose(base_of(total, final[None], np.array([share]))[0], base, atol=1e-9)


@pytest.mark.parametrize("kind", ["exponential", "reciprocal"])
def test_slope_and_curvature_of_both_phases_are_the_derivatives(kind: str) -> None:
    law, random = Staged.of(law_of(1, kind), 0.2, 3.0), np.random.default_rng(0)
    at, weights, step = random.dirichlet(np.full(10, 5.0)), random.random(3), 1e-6
    slope = (law.predict(at + step * np.eye(10)) - law.predict(at - step * np.eye(10))).T / (2 * step)
    assert law.slope(at) == pytest.approx(slope, rel=1e-5, abs=1e-7)
    found = law.curvature(at, weights)
    rows = [(weights @ (law.slope(at + step * e) - law.slope(at - step * e))) / (2 * step) for e in np.eye(10)]
    hessian = found.root.T @ found.root + np.diag(found.diagonal)
    assert hessian == pytest.approx(np.array(rows), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_the_gap_bounds_the_regret_of_any_feasible_pair(seed: int) -> None:
    kind = ("exponential", "reciprocal")[seed % 2]
    share, recency = (0.05, 0.1, 0.3)[seed % 3], (0.5, 1.0, 2.5, 6.0)[seed % 4]
    law = Staged.of(law_of(seed, kind), share, recency)
    whole, base, final = in_turn(law.law, seed, share)
    weights = np.array([0.5, 0.3, 0.2])
    found = best_at(law, weights, (whole, base, final))
    assert found.certified and found.gap <= 1e-7
    first, last = np.array(found.base.proportions), np.array(found.final.proportions)
    total = (1 - share) * first + share * last
    assert max(base.violation(first), final.violation(last), whole.violation(total)) <= 1e-9
    seen = felt(first[None], last[None], share, recency)
    assert float(weights @ law.law.predict(seen)[0]) == pytest.approx(found.loss, abs=1e-9)
    random, limits = np.random.default_rng((seed, 3)), limits_in_turn(whole, base, final, share)
    for _ in range(40):
        price = random.standard_normal(10)
        other = solve(Program(law, limits, np.zeros(3), price, 0.0, None, Program.mean(law, limits, weights).ceilings))
        for mixed in (
            other.proportions,
            0.5 * other.proportions + 0.5 * np.concatenate([(1 - share) * first, share * last]),
        ):
            assert limits.violation(mixed) <= 1e-9
            assert float(weights @ law.predict(mixed[None])[0]) >= found.lower_bound - 1e-12


def test_without_recency_the_schedule_is_the_best_mixture_throughout(law: Law) -> None:
    table = two_stages(1.0)
    limits = Limits.of(DOMAINS, caps={"code": 0.2})
    program = Program.mean(law.at().law, limits, np.array([0.5, 0.5]))
    one = solve(program)
    found = best_at(Staged.of(law.at().law, 0.2, 1.0), np.array([0.5, 0.5]), (limits, *[Limits.simplex(DOMAINS)] * 2))
    assert found.loss == pytest.approx(one.value, abs=1e-8)
    assert found.base.proportions == pytest.approx(one.proportions, abs=1e-5)
    assert found.final.proportions == pytest.approx(one.proportions, abs=1e-5)
    assert schedule(law, table, limits=limits).probability_better < 0.6


def test_where_no_limit_binds_order_gains_nothing_and_the_phases_are_alike(law: Law) -> None:
    found = schedule(law, two_stages(3.0))
    assert abs(found.gain) < 1e-6 and any("as good" in warning for warning in found.warnings)
    assert found.best.base.proportions == pytest.approx(found.best.final.proportions, abs=2e-5)


def test_what_is_scarce_is_read_last_when_reading_last_counts(law: Law) -> None:
    scarce = Limits.of(DOMAINS, available={"books": 1e8, "code": 1e6, "web": 1e8}, budget_tokens=1e7, max_epochs=1)
    late, early = (schedule(law, two_stages(k, noise=0.003), limits=scarce) for k in (3.0, 0.4))
    code = late.best.final.as_dict()["code"], late.best.base.as_dict()["code"]
    assert code[0] > 0.3 > 1e-3 > code[1]
    assert late.gain > 0.01 and late.gain_low > 0 and late.probability_better > 0.9
    assert late.epochs["code"] == pytest.approx(1, abs=1e-6) and late.recency.told
    share, factor = late.best.final_share, late.recency.at(late.best.final_share)
    assert late.felt.as_dict()["code"] == pytest.approx(0.1 * factor / (1 - share + factor * share), rel=1e-4)
    assert early.best.final.as_dict()["code"] < 1e-3 < early.best.base.as_dict()["code"]


def test_the_answer_gives_every_length_its_proof_and_says_what_it_rests_on(law: Law) -> None:
    scarce = Limits.of(DOMAINS, caps={"code": 0.1})
    found = schedule(law, two_stages(3.0), limits=scarce, final_shares=(0.3, 0.1), weights={"code": 3, "web": 1})
    assert [at.final_share for at in found.shares] == [0.1, 0.3] and all(at.certified for at in found.shares)
    assert found.best == min(found.shares, key=lambda at: at.loss)
    assert found.low < found.loss < found.high and found.gain_low < found.gain < found.gain_high
    content = found.as_json()
    assert content["experimental"] and content["certified"] and "mixture" not in content
    total = {name: 0.9 * content["base"][name] + 0.1 * content["final"][name] for name in DOMAINS}
    if found.best.final_share == 0.1:
        assert content["total"] == pytest.approx(total)


def test_a_final_phase_beyond_those_that_were_run_is_said_and_trust_keeps_within(law: Law) -> None:
    table = two_stages(3.0, alike=0.6)
    most = table.finals[:, table.domains.index("code")].max()
    scarce = Limits.of(DOMAINS, caps={"code": 0.45 * most})
    found = schedule(law, table, limits=scarce, final_shares=(0.02,))
    assert any("is extrapolated" in warning for warning in found.warnings)
    narrow = table.where(table.finals[:, table.domains.index("code")] < 0.3)
    kept = schedule(law, narrow, limits=scarce, trust=True)
    seen = narrow.finals[:, narrow.domains.index("code")].max()
    assert kept.best.final.as_dict()["code"] <= 1.5 * seen + 1e-9


def test_phases_that_no_schedule_can_have_are_refused(law: Law) -> None:
    with pytest.raises(Refused, match=r"floor of 'code \(base\)'.*cap of 0\.1.*in tokens of the whole run"):
        schedule(
            law,
            two_stages(2.0),
            limits=Limits.of(DOMAINS, caps={"code": 0.1}),
            base_limits=Limits.of(DOMAINS, floors={"code": 0.3}),
        )
    with pytest.raises(Refused, match=r"no mixture meets these limits together.*code in all <= 0\.1"):
        schedule(
            law,
            two_stages(2.0),
            limits=Limits.of(DOMAINS, caps={"code": 0.1}),
            base_limits=Limits.of(DOMAINS, floors={"code": 0.08}),
            final_limits=Limits.of(DOMAINS, floors={"code": 0.4}),
            final_shares=(0.2,),
        )
    with pytest.raises(Refused, match="final share of 1 is no part"):
        schedule(law, two_stages(2.0), final_shares=(1.0,))


def test_a_law_that_is_not_convex_is_refused(law: Law) -> None:
    random = np.random.default_rng(0)
    mixtures = random.dirichlet(np.full(3, 0.7), 40)
    trees = fit(table_of(mixtures, losses(mixtures) + NOISE * random.standard_normal((40, 2))), "gaussian-process")
    with pytest.raises(Refused, match="not convex"):
        schedule(trees, two_stages(2.0))
    assert replace(law, kind=law.kind) == law
