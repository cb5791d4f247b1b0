"""Counts of parameters and tokens are taken as people write them, by every verb that asks for one."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.cli.counts import METAVAR, count

FLAGS = [
    (verb, param)
    for verb, command in get_command(app).commands.items()  # type: ignore[attr-defined]
    for param in command.params
    if param.name in ("params", "tokens", "tokens_per_step")
]


def test_counts_are_read_as_numbers_and_as_people_write_them() -> None:
    assert [count(text) for text in ("7e9", "7B", "1.4 T", "1_000")] == [7e9, 7e9, 1.4e12, 1e3]
    assert math.isnan(count("nan")) and count("-1") == -1, "verbs say what they think of those"


@pytest.mark.parametrize("text", ["seven", "7bn", "10%", ""])
def test_what_is_no_count_is_misuse(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write 7e9 or 7B"):
        count(text)


def test_a_verb_takes_the_count_that_it_prints(planted: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    runs, law = str(tmp_path / "runs.csv"), str(tmp_path / "law.json")
    planted(runs=12, scales=((10**7, 10**9), (10**8, 10**9), (10**8, 2 * 10**9))).to_csv(runs, index=False)
    (tmp_path / "one.json").write_text('{"web": 1.0}')
    CliRunner().invoke(app, ["fit", runs, "--law", "linear", "--scale", "pooled", "-o", law], catch_exceptions=False)
    for asked in (["1e8", "2e9"], ["100M", "2B"]):
        words = ["predict", law, "--mixtures", str(tmp_path / "one.json"), "--params", asked[0], "--tokens", asked[1]]
        said = CliRunner().invoke(app, words, catch_exceptions=False)
        assert said.exit_code == 0 and "at 100M params and 2B tokens" in said.output


@pytest.mark.parametrize(("verb", "param"), FLAGS, ids=[f"{verb} --{param.name}" for verb, param in FLAGS])
def test_every_flag_that_holds_a_count_takes_it(verb: str, param: object) -> None:
    assert param.metavar == METAVAR  # type: ignore[attr-defined]
