"""`mixlaw schedule` as people run it: tables, files that plans and exports take, and refusals."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app, main
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law_file import write_law
from mixlaw.mixture import read_mixture
from mixlaw.optimize.two_stages import felt
from mixlaw.plan import read_plan
from mixlaw.runs import check_runs

Planted = Callable[..., pd.DataFrame]
DOMAINS = ("web", "code", "books")
LIMITED = ("schedule", "law.json", "staged.csv", "--tokens", "1e7", "--available", "tokens.json", "--max-epochs", "2")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Path:
    """A law, runs in two stages that feel what they read last three times as much, and text of which code is scarce."""
    folder = tmp_path_factory.mktemp("schedule")
    frame, random = planted(runs=24, noise=0.01), np.random.default_rng(4)
    write_law(fit(check_runs(frame), "exponential"), folder / "law.json")
    frame.to_csv(folder / "runs.csv", index=False)
    slopes = np.array([[-1.0, 0.2, -0.4], [0.3, -2.0, 0.1]])
    base, final = random.dirichlet(np.full(3, 0.6), (2, 16))
    share = np.repeat([0.1, 0.2], 8)
    constant = 1.5 + 20 * 1e6**-0.3 + 50 * 1e7**-0.3
    losses = constant + np.exp(felt(base, final, share, 3.0) @ slopes.T) + 0.01 * random.standard_normal((16, 2))
    total = (1 - share)[:, None] * base + share[:, None] * final
    staged = pd.DataFrame({"run": [f"late-{n}" for n in range(16)], "params": 10**6, "tokens": 10**7})
    staged["final_share"] = share
    staged[[f"mix.{name}" for name in DOMAINS]] = total
    staged[[f"final.{name}" for name in DOMAINS]] = final
    staged[["loss.web", "loss.code"]] = losses
    staged.to_csv(folder / "staged.csv", index=False)
    (folder / "tokens.json").write_text('{"web": 2e7, "code": 4e5, "books": 4e6}')
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies, in the folder that commands are run from."""
    for path in template.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> str:
    answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_schedule_says_what_is_read_when_and_that_it_is_experimental(folder: Path) -> None:
    out = run(*LIMITED, "-o", "late.json")
    assert out.startswith("experimental: ") and "certified: in this model" in out
    content = json.loads(Path("late.json").read_text())
    recency = content["recency"]
    assert content["experimental"] and recency["low"] < 3 < recency["high"] and len(content["shares"]) == 6
    assert content["final"]["code"] > content["base"]["code"] and content["epochs"]["code"] <= 2 + 1e-9
    assert content["one_stage_loss"] - content["loss"] == pytest.approx(content["gain"])
    assert read_mixture("late-final.json").as_dict() == content["final"]
    assert read_mixture("late-base.json").as_dict() == content["base"]


def test_what_it_writes_is_a_plan_and_an_export(folder: Path) -> None:
    out = run(*LIMITED, "--final-share", "0.2", "-o", "late.json")
    toml = out[out.index('base = "plan.toml"') : out.index("Next: ")]
    Path("plan.toml").write_text(
        'name = "p"\n[corpus]\npath = "c"\n[proxies]\nsizes = ["0.1M"]\ntokens = [102_400]\n'
        '[target]\nsize = "0.2M"\ntokens = 819_200\n'
    )
    Path("late.toml").write_text(toml)
    plan = read_plan("late.toml")
    assert plan.start == "late-base.json" and plan.stages[0].last == 0.2 and plan.stages[0].mixture == "late-final.json"
    Path("paths.toml").write_text("".join(f'{name} = "/data/{name}"\n' for name in DOMAINS))
    words = re.search(r"mixlaw (export late-base.json --to )FORMAT (--stage )STEP=(\S+),", out)
    assert words is not None
    for trainer in ("levanter", "nanotron"):
        text = run(*words[1].split(), trainer, "--stage", f"800={words[3]}", "--paths", "paths.toml")
        assert "800" in text and "/data/code" in text


def test_a_schedule_file_is_no_mixture_to_train_throughout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(*LIMITED, "-o", "late.json")
    assert "is a schedule" in refused(capsys, "export", "late.json", "--to", "json")


def test_json_is_the_file(folder: Path) -> None:
    printed = run(*LIMITED, "-o", "late.json", "--json")
    assert json.loads(printed) == json.loads(Path("late.json").read_text())


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one message on stderr of a command that refuses."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["mixlaw", *words])
        main()
    error = capsys.readouterr().err
    assert stopped.value.code == 1 and error.startswith(f"mixlaw {words[0]}: ") and error.count("\n") == 1
    return error


REFUSALS = {
    "no run in two stages": (("schedule", "law.json", "runs.csv", "-o", "late.json"), "has no run in two stages"),
    "a phase that cannot be": ((*LIMITED, "--final-floor", "code=0.7", "-o", "late.json"), "floor of 'code (final)'"),
    "no share": ((*LIMITED, "--final-share", "1.5", "-o", "late.json"), "final share of 1.5 is no part of a run"),
    "an unknown domain": ((*LIMITED, "--base-cap", "cod=0.3", "-o", "late.json"), "did you mean 'code'"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_answered_is_refused_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    words, message = REFUSALS[name]
    assert message in refused(capsys, *words)
    assert not [path for path in folder.iterdir() if path.name.startswith("late")]
