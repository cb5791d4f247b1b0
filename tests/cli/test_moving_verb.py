"""`mixlaw train` of plans whose weights move, as people run it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app, main
from mixlaw.runs import read_runs

PLAN = """
name = "small"
[corpus]
path = "{corpus}"
[design]
mixtures = 2
repeats = 0
[training]
sequence_length = 32
batch_tokens = 192
evaluation_tokens = 256
device = "cpu"
[proxies]
sizes = ["0.03M"]
tokens = [1920]
[target]
size = "0.03M"
tokens = 3840
seeds = 1
"""
CHANGES = {
    "grape": 'start = "mine.json"\n[online]\nmethod = "grape"\nevery = 5\ntargets = ["prose"]\n',
    "odm": '[online]\nmethod = "odm"\n[samples]\nstrategy = "linupper"\n',
    "doremi": '[online]\nmethod = "doremi"\nrounds = 2\ntokens = 1920\n[samples]\ntemperature = 0.4\n',
    "doge": '[online]\nmethod = "doge"\nevery = 4\ntokens = 1920\n',
    "late": 'start = "natural"\n[[stages]]\nlast = 0.2\nmixture = "mine.json"\n',
}


@pytest.fixture
def study(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan and those that change it, beside which the command runs."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "plan.toml").write_text(PLAN.format(corpus=tiny_corpus))
    for name, change in CHANGES.items():
        (folder / f"{name}.toml").write_text(f'base = "plan.toml"\nname = "{name}"\n{change}')
    (folder / "mine.json").write_text(json.dumps({"prose": 0.25, "digits": 0.75}))
    return Path("study")


def run(*words: str) -> str:
    """stdout of a command that does not refuse."""
    answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> str:
    monkeypatch.setattr("sys.argv", ["mixlaw", *line.split()])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_plans_that_change_one_base_train_into_one_table_of_full_runs(study: Path) -> None:
    out = run("train", "study/grape.toml")
    assert "1 full run of 0.03M on 3.84k tokens" in out
    assert "study/weights_over_time.csv: the weights over time" in out and "mix.prose" in out
    run("train", "study/odm.toml", "--mixture", "study/mine.json")
    run("train", "study/plan.toml", "--mixture", "study/mine.json")
    table = read_runs(study / "full_runs.csv")
    assert set(table.runs) == {"grape-0.03M-seed0", "odm-mine-0.03M-seed0", "mine-0.03M-seed0"}
    weights = pd.read_csv(study / "weights_over_time.csv")
    assert set(weights["run"]) == {"grape-0.03M-seed0", "odm-mine-0.03M-seed0"}
    grape = weights[weights["run"] == "grape-0.03M-seed0"]
    assert grape["step"].tolist() == list(range(1, 21))
    assert grape.loc[0, ["mix.digits", "mix.marks", "mix.prose"]].tolist() == [0.75, 0.0, 0.25]
    assert grape["target.prose"].eq(1).all() and grape["mix.digits"].nunique() == 4
    assert weights["effective_samples"].notna().sum() == 19
    run("train", "study")
    assert "nothing is left to train" in run("train", "study/grape.toml", "--dry-run")
    assert "1 of 1 run done" in run("train", "study/odm.toml", "--mixture", "study/mine.json", "--status")


@pytest.mark.parametrize("name", ["doremi", "doge"])
def test_a_mixture_that_is_searched_for_is_what_the_full_run_reads(study: Path, name: str) -> None:
    out = run("train", f"study/{name}.toml")
    found = json.loads((study / name / "found.json").read_text())
    assert sum(found.values()) == pytest.approx(1)
    last = pd.read_csv(study / name / "weights_over_time.csv").iloc[-1]
    assert all(last[f"average.{domain}"] == pytest.approx(value) for domain, value in found.items())
    row = read_runs(study / "full_runs.csv").frame.iloc[-1]
    assert all(abs(row[f"mix.{domain}"] - value) < 1 / 120 for domain, value in found.items())
    assert f"{name}-0.03M-seed0" in row["run"]
    searched = read_runs(study / name / "full_runs.csv") if (study / name / "full_runs.csv").exists() else None
    assert searched is None
    runs = {path.stem for path in (study / name / "models").iterdir()}
    expected = {"proxy-0"} if name == "doge" else {"reference1-0", "proxy1-0", "reference2-0", "proxy2-0"}
    assert runs == expected
    assert "full run of" in out
    before = (study / name / "runs").stat().st_mtime
    assert run("train", f"study/{name}.toml") and (study / name / "runs").stat().st_mtime == before


def test_a_search_starts_from_the_mixture_that_is_given(study: Path) -> None:
    run("train", "study/doge.toml", "--mixture", "study/mine.json")
    first = pd.read_csv(study / "doge-mine" / "weights_over_time.csv").iloc[0]
    assert first["weight.marks"] == 0 and first["mix.marks"] == pytest.approx(1 / 3)
    assert set(read_runs(study / "full_runs.csv").runs) == {"doge-mine-0.03M-seed0"}


def test_a_late_stage_reads_by_the_other_mixture(study: Path) -> None:
    run("train", "study/late.toml")
    weights = pd.read_csv(study / "weights_over_time.csv").set_index("step")
    natural = weights.loc[1, ["mix.digits", "mix.marks", "mix.prose"]].to_numpy(float)
    assert weights.loc[16, "mix.marks"] == natural[1] and weights.loc[17, "mix.marks"] == 0
    row = read_runs(study / "full_runs.csv").frame.iloc[-1]
    expected = 0.8 * natural + 0.2 * np.array([0.75, 0.0, 0.25])
    assert np.abs(row[["mix.digits", "mix.marks", "mix.prose"]].to_numpy(float) - expected).max() < 2 / 120
    assert len(list((study / "checkpoints").glob("base-*.safetensors"))) == 1


def test_processes_of_torchrun_train_a_plan_together(study: Path) -> None:
    run("train", "study/grape.toml")
    alone = read_runs(study / "full_runs.csv").frame
    for name in ("runs", "models"):
        shutil.rmtree(study / name)
    plan = (study / "grape.toml").read_text()
    (study / "grape.toml").write_text(f"{plan}\n[training]\nshard = true\n")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mixlaw"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*torchrun, "train", "study/grape.toml"]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert answer.stdout.count("weights over time") == 1
    together = read_runs(study / "full_runs.csv").frame
    assert together["loss.prose"].to_numpy() == pytest.approx(alone["loss.prose"].to_numpy(), rel=1e-3)
    assert together["mix.prose"].tolist() == alone["mix.prose"].tolist()
    answer = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, env=environment)
    assert answer.returncode != 0
    assert "torchrun started 2 processes, which train one run at a time" in answer.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('start = "gone.json"\n[online]\nmethod = "odm"', "the plan's start is 'gone.json', and neither 'natural' nor"),
        (
            '[online]\nmethod = "grape"\ntargets = ["pros"]',
            "the plan's online.targets: no domain of the corpus is",
        ),
        (
            '[online]\nmethod = "doremi"\nsize = "0.04M"',
            "the plan's online.size: no size is called '0.04M'; did",
        ),
        ('[online]\nmethod = "doremi"\nreference = "x.json"', "the plan's online.reference is 'x.json', and neither"),
        ('[online]\nmethod = "doge"\ntokens = 100', "the plan's online.tokens is 100, less than one step of 192"),
        ('[[stages]]\nlast = 0.5\nmixture = "x.json"', "the plan's stages.0.mixture is 'x.json', and neither"),
        (
            '[online]\nmethod = "grape"\nfloor = 0.5',
            "the plan's online.floor is 0.5, and 3 domains cannot",
        ),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_trained(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    (study / "wrong.toml").write_text(f'base = "plan.toml"\nname = "wrong"\n{change}\n')
    assert said in refused(monkeypatch, capsys, "train study/wrong.toml")
    assert not list(study.glob("**/records-*"))
