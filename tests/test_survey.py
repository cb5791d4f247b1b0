"""`mixlaw check` and `mixlaw fit` agree on what no law can be fitted to."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.design.spread import advised_runs, runs_needed
from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.runs import check_runs, read_runs
from mixlaw.survey import survey

Planted = Callable[..., pd.DataFrame]

UNFIT: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "one run": lambda frame: frame.head(1),
    "one mixture": lambda frame: frame.assign(**{"mix.web": 0.5, "mix.code": 0.25, "mix.books": 0.25}),
    "three mixtures": lambda frame: frame.head(3),
    "no loss": lambda frame: frame.assign(**{"loss.web": np.nan, "loss.code": np.nan}),
    "a target hardly measured": lambda frame: frame.assign(**{"loss.web": frame["loss.web"].where(frame.index < 2)}),
    "a target that never changes": lambda frame: frame.assign(**{"loss.web": 2.5}),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_fit_refuses_is_a_problem_and_ends_check_with_1(what: str, planted: Planted, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    UNFIT[what](planted(runs=12, noise=0.01)).to_csv(path, index=False)
    table = read_runs(path)
    with pytest.raises(Refused) as refused:
        fit(table, "linear")
    assert str(refused.value) in survey(table).problems
    answer = CliRunner().invoke(app, ["check", str(path)])
    assert isinstance(answer.exception, Refused) and str(refused.value) in str(answer.exception)
    assert f"problem: {refused.value}" in answer.output and "Next: mend" in answer.output


def test_every_problem_is_listed_and_counted(planted: Planted, tmp_path: Path) -> None:
    planted(runs=12).assign(**{"loss.web": 2.5, "loss.code": 55.0}).to_csv(tmp_path / "runs.csv", index=False)
    answer = CliRunner().invoke(app, ["check", str(tmp_path / "runs.csv")])
    assert answer.output.count("problem: ") == 3 and "(and 2 more problems: see above)" in str(answer.exception)


def test_a_target_without_any_loss_is_a_problem_for_programs_too(planted: Planted, tmp_path: Path) -> None:
    planted(runs=12).assign(**{"loss.web": np.nan}).to_csv(tmp_path / "runs.csv", index=False)
    answer = CliRunner().invoke(app, ["check", str(tmp_path / "runs.csv"), "--json"])
    assert isinstance(answer.exception, Refused), "check --json ended in an error of its own"
    targets = {target["target"]: target for target in json.loads(answer.output)["targets"]}
    assert targets["web"] == {"target": "web", "measured": 0, "lowest": None, "highest": None, "noise": None}
    assert "nan" not in CliRunner().invoke(app, ["check", str(tmp_path / "runs.csv")]).output


def test_a_run_that_diverged_is_worth_a_note_since_a_law_is_fitted_all_the_same(planted: Planted) -> None:
    frame = planted(runs=12, noise=0.01, scales=((10**6, 10**7), (10**6, 2 * 10**7)))
    frame.loc[1, ["loss.web", "loss.code"]] += 2.0
    found = survey(check_runs(frame))
    assert not found.problems and any("ends 1.8 nats above" in note or "diverged" in note for note in found.notes)


@pytest.mark.parametrize("domains", [2, 7, 17])
def test_every_count_of_runs_that_is_advised_is_the_same(domains: int) -> None:
    least, advised = advised_runs(domains)
    mixtures = np.random.default_rng(0).dirichlet(np.ones(domains), 5)
    frame = pd.DataFrame(mixtures, columns=[f"mix.{number}" for number in range(domains)])
    frame = frame.assign(
        run=[f"r{number}" for number in range(5)], params=10, tokens=10, **{"loss.a": np.arange(5) + 1}
    )
    warned = next(warning for warning in survey(check_runs(frame)).design.warnings if "few" in warning)
    assert runs_needed(domains) in warned and f"{least}, and {advised} are advised" in warned
    with pytest.raises(Refused, match=runs_needed(domains)):
        fit(check_runs(frame.head(3)))


def test_a_target_that_only_small_runs_measured_is_a_problem_with_the_scale_it_lacks(planted: Planted) -> None:
    frame = planted(runs=12, noise=0.01, scales=((10**6, 10**7), (10**7, 10**7)))
    frame["loss.web"] = frame["loss.web"].where(frame["params"] == 10**6)
    table = check_runs(frame, source="runs.csv")
    with pytest.raises(Refused, match="'web' is measured on 0 mixtures at 10M params and 10M tokens, where") as refused:
        fit(table)
    assert survey(table).problems == (str(refused.value),)
    assert fit(table, "linear", targets=["code"]).targets == ("code",)


def test_runs_that_share_no_scale_are_a_problem_of_the_scale_and_not_of_their_number(planted: Planted) -> None:
    frame = planted(runs=12, noise=0.01)
    table = check_runs(frame.assign(tokens=10**7 * (1 + np.arange(len(frame)))), source="runs.csv")
    with pytest.raises(Refused, match=r"no size and token count has losses of 4 mixtures .* has 1 of 12") as refused:
        fit(table)
    assert survey(table).problems == (str(refused.value),)
    with pytest.raises(Refused, match="has 1 of 12"):
        fit(table, "linear", "none")
    assert "--scale additive" in str(refused.value) and fit(table, scale="additive").scale == "additive"
