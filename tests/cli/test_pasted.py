"""Commands that messages tell are commands a shell takes, whatever files, domains and targets are called."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.errors import Refused

Planted = Callable[..., pd.DataFrame]


@pytest.fixture
def runs(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    names = {"mix.web": "mix.the web's", "loss.web": "loss.held out"}
    frame: pd.DataFrame = planted(runs=14, noise=0.01).rename(columns=names)
    frame.to_csv("my runs.csv", index=False)
    return frame


def told(words: list[str]) -> list[str]:
    """What a command says to do next, as a shell would take it; of several the first."""
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    line = next(line for line in answer.output.splitlines() if line.startswith("Next: "))
    mixlaw, *following = shlex.split(line.removeprefix("Next: ").split(", or ")[0])
    assert mixlaw == "mixlaw"
    return following


def test_each_command_of_a_chain_tells_the_next_as_it_can_be_pasted(runs: pd.DataFrame) -> None:
    assert told(["check", "my runs.csv"]) == ["fit", "my runs.csv", "-o", "law.json"]
    assert told(["fit", "my runs.csv", "-o", "my law.json"]) == ["optimize", "my law.json"]
    limit = f"{runs['loss.held out'].median():.3f}"
    asked = ["critical", "my law.json", "--old", "the web's", "--target", "held out", "--at-most", limit]
    verb, law, flag, floor = told(asked)
    assert (verb, law, flag) == ("optimize", "my law.json", "--floor") and floor.startswith("the web's=")
    told([verb, law, flag, floor, "-o", "my optimum.json"])


def test_a_target_measured_too_seldom_is_left_out_by_the_flags_that_are_told(runs: pd.DataFrame) -> None:
    """They name every target that is measured enough, and none that is not."""
    seldom = runs["loss.code"].where(np.arange(len(runs)) < 2)
    runs.assign(**{"loss.code": seldom, "loss.books": seldom, "loss.more": runs["loss.held out"] + 1}).to_csv(
        "my runs.csv", index=False
    )
    refused = CliRunner().invoke(app, ["fit", "my runs.csv"]).exception
    assert isinstance(refused, Refused)
    flags = shlex.split(str(refused).split("leave it out with ")[1])
    assert flags == ["--target", "held out", "--target", "more"]
    assert CliRunner().invoke(app, ["fit", "my runs.csv", *flags]).exit_code == 0
