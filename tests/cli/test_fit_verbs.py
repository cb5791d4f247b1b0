"""`mixlaw fit`, `predict` and `compare` as people run them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app, main

Planted = Callable[..., pd.DataFrame]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Planted) -> Path:
    """Runs, mixtures and weights in the folder that commands are run from."""
    monkeypatch.chdir(tmp_path)
    planted(runs=24, noise=0.02).to_csv("runs.csv", index=False)
    Path("mixtures.csv").write_text("name,web,code,books\nfirst,0.5,0.3,0.2\nsecond,0.2,0.2,0.6\n")
    Path("a.json").write_text('{"web": 0.2, "code": 0.6, "books": 0.2}')
    Path("b.json").write_text('{"web": 0.6, "code": 0.2, "books": 0.2}')
    Path("weights.json").write_text('{"code": 1}')
    return tmp_path


@pytest.fixture
def law(folder: Path) -> Path:
    run("fit", "runs.csv", "-o", "law.json", "--law", "exponential")
    return folder / "law.json"


def run(*words: str) -> str:
    """stdout of a command that does not refuse."""
    answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """The one message on stderr of a command that refuses, exit code 1."""
    monkeypatch.setattr(sys, "argv", ["mixlaw", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    out, err = capsys.readouterr()
    assert stopped.value.code == 1 and out == "" and err.startswith(f"mixlaw {words[0]}: ") and err.count("\n") == 1
    return err


def test_fit_prints_what_the_law_can_be_trusted_with_and_names_the_next_verb(folder: Path) -> None:
    out = run("fit", "runs.csv", "-o", "law.json")
    assert "24 runs of 24 mixtures, 3 domains, 2 targets" in out
    assert "law at 1M params and 10M tokens" in out
    assert "chosen" in out and "exponential" in out
    for target in ("code", "web"):
        assert any(line.startswith(target) for line in out.splitlines())
    assert out.rstrip().endswith("Next: mixlaw optimize law.json")
    assert (folder / "law.json").is_file()


def test_fit_says_that_a_way_across_scales_was_chosen_without_a_backtest(folder: Path, planted: Planted) -> None:
    planted(runs=12, noise=0.01, scales=((1_000_000, 10_000_000), (1_000_000, 20_000_000))).to_csv("two.csv")
    (chosen,) = [line for line in run("fit", "two.csv", "-o", "l.json").splitlines() if line.startswith("pooled")]
    assert chosen.split(maxsplit=1)[1].strip() == "chosen, no backtest: too few sizes or checkpoints"


def test_fit_prints_json_alone_when_asked(folder: Path) -> None:
    content = json.loads(run("fit", "runs.csv", "-o", "law.json", "--law", "exponential", "--json"))
    assert [target["target"] for target in content["targets"]] == ["code", "web"]
    assert content["mixtures"] == 24 and content["rank"] == 2


def test_fit_keeps_only_the_targets_named(folder: Path) -> None:
    run("fit", "runs.csv", "-o", "law.json", "--law", "exponential", "--target", "web")
    assert json.loads(Path("law.json").read_text())["targets"] == ["web"]


def test_predict_prints_totals_and_writes_every_target(law: Path) -> None:
    out = run("predict", "law.json", "--mixtures", "mixtures.csv", "-o", "predictions.csv", "--interval", "0.8")
    assert "80% intervals" in out and "first" in out and "second" in out
    written = pd.read_csv("predictions.csv")
    assert list(written.columns) == ["mixture", "params", "tokens", "target", "loss", "low", "high"]
    assert list(written["target"]) == ["code", "web", "(weighted)"] * 2
    assert written["params"].dtype == int and written["tokens"].dtype == int


def test_predict_weighs_targets_and_prints_json_alone(law: Path) -> None:
    words = ("predict", "law.json", "--mixtures", "mixtures.csv", "--weights", "weights.json", "--json")
    rows = json.loads(run(*words))["predictions"]
    by_target = {row["target"]: row["loss"] for row in rows if row["mixture"] == "first"}
    assert by_target["(weighted)"] == by_target["code"]


def test_predict_warns_of_mixtures_beyond_the_runs(law: Path) -> None:
    Path("far.csv").write_text("name,web,code,books\nall code,0,1,0\n")
    assert "warning: 1 of 1 mixture lies outside the hull" in run("predict", "law.json", "--mixtures", "far.csv")


def test_compare_gives_the_probability_by_target_and_in_all(law: Path) -> None:
    content = json.loads(run("compare", "law.json", "a.json", "b.json", "--weights", "weights.json", "--json"))
    by_target = {row["target"]: row["probability"] for row in content["targets"]}
    assert by_target["code"] > 0.99 and by_target["web"] < 0.01
    assert content["total"]["probability"] == pytest.approx(by_target["code"])
    out = run("compare", "law.json", "a.json", "b.json", "--weights", "weights.json")
    assert "P(A beats B)" in out and "Next: mixlaw export a.json" in out
    assert "A is a.json, B is b.json" in out
    assert "Next: measure both" in run("compare", "law.json", "b.json", "b.json")


MISTAKES = {
    "a misspelt law": (["fit", "runs.csv", "-o", "new.json", "--law", "exponentail"], "did you mean 'exponential'"),
    "a misspelt target": (["fit", "runs.csv", "-o", "new.json", "--target", "wbe"], "did you mean 'web'"),
    "no such table": (["fit", "nowhere.csv", "-o", "new.json"], "nowhere.csv does not exist"),
    "one run": (["fit", "one.csv", "-o", "new.json"], "one.csv holds one run"),
    "an empty file": (["fit", "empty.csv", "-o", "new.json"], "empty.csv is empty"),
    "sums that are off": (["fit", "off.csv", "-o", "new.json"], "sum to 1.02"),
    "no such law": (["predict", "nowhere.json", "--mixtures", "mixtures.csv", "-o", "new.csv"], "does not exist"),
    "a mixture for a law": (["predict", "a.json", "--mixtures", "mixtures.csv", "-o", "new.csv"], "is not a law"),
    "unknown domains": (["predict", "law.json", "--mixtures", "odd.csv", "-o", "new.csv"], "did you mean 'code'"),
    "another scale": (
        ["predict", "law.json", "--mixtures", "mixtures.csv", "--tokens", "1e12", "-o", "new.csv"],
        "one scale",
    ),
    "a percentage": (
        ["predict", "law.json", "--mixtures", "mixtures.csv", "--interval", "90", "-o", "new.csv"],
        "such as 0.9",
    ),
    "unknown weights": (["compare", "law.json", "a.json", "b.json", "--weights", "a.json"], "no target is called"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_gets_one_message_and_leaves_no_file(
    what: str, law: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.read_csv("runs.csv")
    frame.head(1).to_csv("one.csv", index=False)
    frame.assign(**{"mix.web": frame["mix.web"] + 0.02}).to_csv("off.csv", index=False)
    Path("empty.csv").touch()
    Path("odd.csv").write_text("name,web,coed\nfirst,0.5,0.5\n")
    words, said = MISTAKES[what]
    assert said in refused(capsys, monkeypatch, *words)
    assert not Path("new.json").exists() and not Path("new.csv").exists()
