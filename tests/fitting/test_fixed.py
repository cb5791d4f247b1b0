"""A domain that never varied is varied or fixed by name, and no answer moves it from there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.errors import Refused
from mixlaw.fitting.compare import compare
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import read_law, write_law
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture
from mixlaw.optimize.critical import critical
from mixlaw.optimize.find import optimize
from mixlaw.optimize.optimum import read_optimum
from mixlaw.runs import check_runs

SHARE = 0.05


def with_github(frame: pd.DataFrame, share: float = SHARE) -> pd.DataFrame:
    """The planted runs beside a domain that is the same in all of them."""
    mixed = frame.assign(**{name: frame[name] * (1 - share) for name in frame if name.startswith("mix.")})
    return mixed.assign(**{"mix.github": share})


@pytest.fixture(scope="module")
def runs(planted: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return with_github(planted(runs=24, noise=0.003))


@pytest.fixture(scope="module")
def law(runs: pd.DataFrame) -> Law:
    return fit(check_runs(runs), "exponential", fixed=["github"])


def test_a_domain_that_never_varies_is_refused_with_the_flag_that_fixes_it(runs: pd.DataFrame) -> None:
    with pytest.raises(Refused) as refused:
        fit(check_runs(runs, source="runs.csv"))
    assert str(refused.value) == (
        "runs.csv: 'github' is 0.05 in all 24 runs, so its effect cannot be told from a constant; "
        "vary it, or leave it out with --fixed github"
    )


def test_proportions_that_differ_as_logs_do_are_one_proportion(runs: pd.DataFrame) -> None:
    jitter = 1 + 0.002 * np.random.default_rng(0).standard_normal(len(runs))
    with pytest.raises(Refused, match=r"'github' is 0\.04999 in all 24 runs"):
        fit(check_runs(runs.assign(**{"mix.github": SHARE * jitter})))


def test_a_domain_that_varies_cannot_be_fixed(runs: pd.DataFrame) -> None:
    with pytest.raises(Refused, match=r"'web' is between .* so its effect can be told; leave --fixed web out"):
        fit(check_runs(runs), fixed=["github", "web"])
    with pytest.raises(Refused, match="did you mean 'github'"):
        fit(check_runs(runs), fixed=["githup"])


def test_a_law_with_a_fixed_domain_predicts_as_one_without_it(
    runs: pd.DataFrame, law: Law, planted: Callable[..., pd.DataFrame]
) -> None:
    without = fit(check_runs(planted(runs=24, noise=0.003)), "exponential")
    rest = {"web": 0.5, "code": 0.3, "books": 0.2}
    whole = {name: (1 - SHARE) * share for name, share in rest.items()} | {"github": SHARE}
    expected = without.predict([Mixture.of(rest)])["loss"].to_numpy()
    assert law.predict([Mixture.of(whole)])["loss"].to_numpy() == pytest.approx(expected, abs=2e-3)


def test_the_law_says_nothing_of_other_proportions(law: Law) -> None:
    other, same = Mixture.of({"web": 0.9, "github": 0.1}), Mixture.of({"web": 0.95, "github": 0.05})
    with pytest.raises(Refused, match=r"'1' has 0\.1 of 'github', which is 0\.05 in every run"):
        law.predict([other])
    with pytest.raises(Refused, match="mixture 'B' has 0 of 'github'"):
        compare(law, same, Mixture.of({"web": 1.0}))
    with pytest.raises(Refused, match="github never varied"):
        critical(law.at(), "web", "web", 3.0)


def test_an_optimum_never_moves_a_fixed_domain(law: Law) -> None:
    found = optimize(law)
    assert found.certified and found.mixture.as_dict()["github"] == pytest.approx(SHARE, abs=1e-12)
    assert any("the law holds where 'github' is 0.05" in warning for warning in found.warnings)
    assert "uniform" not in found.baselines and "best measured" in found.baselines
    assert any("the uniform mixture has 0.25 of 'github'" in warning for warning in found.warnings)
    low, high = found.near_optimal["github"]
    assert low == high == pytest.approx(SHARE)


def test_limits_that_forbid_the_fixed_proportion_are_refused(law: Law) -> None:
    with pytest.raises(Refused, match=r"'github' is allowed between 0 and 0\.02, but held at 0\.05"):
        optimize(law, limits=Limits.of(law.domains, caps={"github": 0.02}))


def test_what_is_fixed_is_kept_on_file_and_absent_where_nothing_is(
    law: Law, tmp_path: Path, planted: Callable[..., pd.DataFrame]
) -> None:
    write_law(law, tmp_path / "law.json")
    assert read_law(tmp_path / "law.json").fixed == pytest.approx({"github": SHARE})
    write_law(fit(check_runs(planted(runs=12)), "linear"), tmp_path / "free.json")
    assert '"fixed"' not in (tmp_path / "free.json").read_text() and not read_law(tmp_path / "free.json").fixed


def test_the_verbs_fix_a_domain_from_runs_to_optimum(
    runs: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.to_csv("runs.csv", index=False)
    answer = CliRunner().invoke(app, ["check", "runs.csv"])
    assert isinstance(answer.exception, Refused) and "--fixed github" in answer.output
    assert answer.output.count("'github' is") == 1
    for line in ("fit runs.csv --law exponential --fixed github -o law.json", "optimize law.json -o optimum.json"):
        said = CliRunner().invoke(app, line.split(), catch_exceptions=False)
        assert said.exit_code == 0 and "the law holds where 'github' is 0.05" in said.output
    assert read_optimum("optimum.json").mixture.as_dict()["github"] == pytest.approx(SHARE)


def test_the_next_batch_is_not_chosen_by_a_law_that_does_not_know_a_domain(
    runs: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.to_csv("runs.csv", index=False)
    line = "sample --after runs.csv --count 2 -o next.csv"
    answer = CliRunner().invoke(app, line.split())
    assert isinstance(answer.exception, Refused) and "github never varied" in str(answer.exception)
    kept = f"{line} --cap github={SHARE} --floor github={SHARE}"
    assert CliRunner().invoke(app, kept.split(), catch_exceptions=False).exit_code == 0
    assert pd.read_csv("next.csv")["github"].to_numpy() == pytest.approx([SHARE] * 2)
