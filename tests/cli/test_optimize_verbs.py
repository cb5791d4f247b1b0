"""`mixlaw optimize`, `pareto` and `critical` as people run them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app, main

Planted = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of a law file, made once."""
    return {}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Planted, fitted: dict[str, str]) -> Path:
    """A law and the files that flags name, in the folder that commands are run from."""
    monkeypatch.chdir(tmp_path)
    if not fitted:
        planted(runs=24, noise=0.02).to_csv("runs.csv", index=False)
        run("fit", "runs.csv", "-o", "law.json", "--law", "exponential")
        fitted["law"] = Path("law.json").read_text()
    Path("law.json").write_text(fitted["law"])
    Path("tokens.json").write_text('{"web": 2e7, "code": 5e5, "books": 4e6}')
    Path("prior.json").write_text('{"web": 0.6, "code": 0.2, "books": 0.2}')
    Path("weights.json").write_text('{"code": 3, "web": 1}')
    Path("groups.json").write_text('{"code": ["code"], "web": ["web"]}')
    return tmp_path


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


def test_optimize_says_what_is_best_and_what_holds_it_back(folder: Path) -> None:
    out = run(
        *("optimize", "law.json", "--tokens", "1e7", "--available", "tokens.json", "--max-epochs", "4"),
        *("--weights", "weights.json", "--current", "prior.json", "-o", "optimum.json"),
    )
    assert "domain" in out and "epochs" in out and "near-optimal" in out
    for name in ("natural", "uniform", "best measured", "current"):
        assert any(line.startswith(name) for line in out.splitlines())
    assert "P(optimum better)" in out
    assert "held back by the cap of 'code' at 0.2 (4 epochs of 500k tokens in 10M): one more epoch of 'code'" in out
    assert "certified: no allowed mixture has a predicted loss lower by more than" in out
    assert out.rstrip().endswith(
        "Next: mixlaw export optimum.json --to FORMAT, mixlaw report law.json --optimum optimum.json, "
        "or mixlaw train PLAN --mixture optimum.json"
    )
    content = json.loads(Path("optimum.json").read_text())
    assert content["certified"] and content["gap"] <= 1e-9 and sum(content["mixture"].values()) == 1
    assert content["mixture"]["code"] <= 0.2


def test_optimize_prints_for_programs_what_it_writes(folder: Path) -> None:
    printed = run("optimize", "law.json", "-o", "optimum.json", "--json")
    assert printed == Path("optimum.json").read_text()
    assert json.loads(printed)["law_sha256"]


def test_every_kind_of_limit_can_be_asked_for_at_once(folder: Path) -> None:
    out = run(
        *("optimize", "law.json", "--cap", "code=0.5", "--floor", "books=0.1", "--limit", "web >= 2 * books"),
        *(
            "--prior",
            "prior.json",
            "--kl",
            "0.01",
            "--at-most",
            "web=2.95",
            "--objective",
            "worst",
            "--trust",
            "--json",
        ),
    )
    content = json.loads(out)
    mixture = content["mixture"]
    assert content["certified"]
    assert mixture["code"] <= 0.5 and mixture["books"] >= 0.1 and mixture["web"] >= 2 * mixture["books"] - 1e-12
    assert content["losses"]["web"] <= 2.95


def test_a_law_of_one_scale_chooses_for_a_longer_run_and_says_so(folder: Path) -> None:
    words = ("optimize", "law.json", "--available", "tokens.json", "--json")
    same, longer = (json.loads(run(*words, "--tokens", budget)) for budget in ("1e7", "2e7"))
    assert same["predicted_tokens"] == longer["predicted_tokens"] == 1e7
    assert same["mixture"]["code"] == pytest.approx(0.2) and longer["mixture"]["code"] == pytest.approx(0.1)
    assert longer["epochs"]["code"] == pytest.approx(4) and longer["tokens"] == 2e7
    assert any("taken on trust" in warning for warning in longer["warnings"])


def test_slack_can_be_left_out(folder: Path) -> None:
    assert "near-optimal" not in run("optimize", "law.json", "--slack", "0")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cap", "cod=0.3"], "no domain is called 'cod'; did you mean 'code'?"),
        (["--cap", "code"], "--cap code is not NAME=NUMBER"),
        (["--cap", "code=2e9"], "tokens are given with --available"),
        (["--cap", "code=0.2", "--cap", "web=0.3", "--cap", "books=0.4"], "caps sum to 0.9, below 1"),
        (["--floor", "code=0.5", "--cap", "code=0.2"], "floor of 'code' is 0.5, above its cap of 0.2"),
        (["--available", "tokens.json"], "give --tokens"),
        (["--available", "weights.json", "--tokens", "1e7"], "available tokens are not given for books"),
        (["--available", "tokens.json", "--tokens", "1e12"], "caps sum to"),
        (["--limit", "code + books >= 1.5"], "no mixture meets these limits together"),
        (["--limit", "code + bokos <= 0.4"], "did you mean 'books'?"),
        (["--weights", "tokens.json"], "no target is called 'books'"),
        (["--at-most", "web=1.0"], "loss of 'web' can be brought to"),
        (["--kl", "0.1"], "give --prior"),
        (["--prior", "weights.json"], "sum to 4"),
        (["--objective", "median"], "no objective is called 'median'; did you mean 'mean'?"),
    ],
)
def test_optimize_refuses_in_one_line_and_writes_nothing(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    assert message in refused(capsys, monkeypatch, "optimize", "law.json", *words, "-o", "optimum.json")
    assert not Path("optimum.json").exists()


def test_a_law_that_is_none_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "does not exist" in refused(capsys, monkeypatch, "optimize", "lwa.json")
    assert "is not a law" in refused(capsys, monkeypatch, "optimize", "prior.json")


def test_pareto_prints_the_front_and_writes_it(folder: Path) -> None:
    out = run("pareto", "law.json", "--groups", "groups.json", "--points", "6", "--cap", "code=0.6", "-o", "front.csv")
    assert "loss of code" in out and "loss of web" in out
    assert "no allowed mixture lies below the straight line by over" in out
    assert "Next: choose a point" in out
    assert "mixlaw report law.json --groups groups.json draws the front" in out
    table = pd.read_csv("front.csv")
    assert len(table) == 6 and (table["gap"] <= 1e-8).all() and (table["mix.code"] <= 0.6 + 1e-9).all()
    assert (table["loss.code"].diff().dropna() > 0).all() and (table["loss.web"].diff().dropna() < 0).all()
    content = json.loads(run("pareto", "law.json", "--groups", "groups.json", "--points", "3", "--json"))
    assert len(content["points"]) == 3 and 1 <= content["compromise"] <= 3
    assert f"{content['unknown']:.1e} nats" in run("pareto", "law.json", "--groups", "groups.json", "--points", "3")
    assert {"params", "tokens", "warnings"} <= content.keys()


def test_pareto_refuses_groups_that_make_no_front(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("groups.json").write_text('{"code": ["cod"], "web": ["web"]}')
    words = ("pareto", "law.json", "--groups", "groups.json", "-o", "front.csv")
    assert "group 'code': no target is called 'cod'" in refused(capsys, monkeypatch, *words)
    assert not Path("front.csv").exists()


def test_critical_says_from_which_proportion_nothing_is_forgotten(folder: Path) -> None:
    words = ("critical", "law.json", "--old", "code", "--target", "code", "--at-most", "2.8", "--rest", "rest.json")
    Path("rest.json").write_text('{"web": 0.75, "books": 0.25}')
    out = run(*words, "-o", "mixture.json")
    assert "stays at or below 2.8 from a proportion of 0." in out and "below, it forgets" in out
    assert "90% interval of the critical proportion" in out
    assert "the rest of the mixture is shared as books 0.25, web 0.75" in out
    content = json.loads(run(*words, "--json"))
    assert content["low"] < content["proportion"] < content["high"]
    mixture = json.loads(Path("mixture.json").read_text())
    assert mixture["code"] == content["proportion"] and mixture["web"] == pytest.approx(3 * mixture["books"])
    predicted = run("predict", "law.json", "--mixtures", _row(mixture), "--json")
    assert "2.8" in predicted


def _row(mixture: dict[str, float]) -> str:
    Path("row.csv").write_text(",".join(mixture) + "\n" + ",".join(map(repr, mixture.values())) + "\n")
    return "row.csv"


def test_critical_refuses_what_cannot_be_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("critical", "law.json", "--old", "code", "--target", "code", "--at-most", "0.5", "-o", "mixture.json")
    assert "no proportion of 'code' keeps the loss of 'code' at 0.5" in refused(capsys, monkeypatch, *words)
    assert not Path("mixture.json").exists()
