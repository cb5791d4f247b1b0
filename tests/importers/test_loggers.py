"""The loggers themselves write what we read; `make test-consumers` runs this in their own environment.

Every logger is given the same two runs; the run table must be the same, whatever wrote it.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.importers import importer_of, read_log
from mixlaw.importers.assemble import assemble
from mixlaw.importers.choices import Choices
from mixlaw.importers.columns import parse_rule

pytestmark = [pytest.mark.consumers, pytest.mark.filterwarnings("ignore")]

MIXTURES = {"a": {"code": 0.25, "web": 0.75}, "b": {"code": 0.5, "web": 0.5}}
STEPS = range(0, 5000, 10)


def loss(run: str, step: int) -> float:
    return 2.0 + MIXTURES[run]["web"] + 1 / (1 + step)


EXPECTED = pd.DataFrame(
    [
        {
            "run": run,
            "params": 1_000_000,
            "tokens": step * 1024,
            "step": step,
            **{f"mix.{name}": value for name, value in MIXTURES[run].items()},
            "loss.web": loss(run, step),
        }
        for run in MIXTURES
        for step in STEPS
        if step
    ]
)


def imported(source: Path, kind: str, rule: str = "loss.*=eval/*") -> pd.DataFrame:
    assert importer_of((str(source),)).name == kind
    return assemble(read_log((str(source),)), Choices(rules=(parse_rule(rule),), tokens_per_step=1024.0)).frame


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for run, mixture in {**MIXTURES, "crashed": MIXTURES["a"]}.items():
        config = {"mix": mixture, "params": 1_000_000}
        with wandb.init(project="p", dir=str(tmp_path), name=run, config=config) as logger:
            for step in STEPS:
                logger.log({"eval/web": loss("a" if run == "crashed" else run, step)}, step=step)
            if run == "crashed":
                logger.finish(exit_code=1)
    pd.testing.assert_frame_equal(imported(tmp_path / "wandb", "wandb-offline"), EXPECTED)


def test_the_commands_of_the_page_read_runs_of_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged = {"a": {f"data/weights/{name}": value for name, value in MIXTURES["a"].items()}, "b-web0.5-code0.5": {}}
    for run, mixture in logged.items():
        with wandb.init(
            project="p", dir=str(tmp_path), name=run, config=mixture | {"model/n_params": 1_000_000}
        ) as logger:
            logger.log({"eval/web_loss": loss(run[0], 10), "tokens_seen": 10_240}, step=10)
    page = (Path(__file__).parents[2] / "docs" / "migrating.md").read_text().split("## W&B")[1]
    for line in re.findall(r"^mixlaw import .*$", page.replace("\\\n", " "), re.MULTILINE):
        answer = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
    table = pd.read_csv("runs.csv")
    assert table["mix.code"].tolist() == [0.25, 0.5] and table["tokens"].tolist() == [10_240] * 2


def test_wandb_killed_while_logging_is_read_up_to_its_end(tmp_path: Path) -> None:
    code = (
        "import os, wandb\n"
        f"run = wandb.init(project='p', dir={str(tmp_path)!r}, name='a', mode='offline')\n"
        "for step in range(3000):\n    run.log({'eval/web': 2.5}, step=step)\n"
        "import time; time.sleep(2); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    (run,) = read_log((str(tmp_path / "wandb"),)).runs
    assert run.unfinished == "running or cut short" and len(run.points) > 500


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    from mlflow.entities import Metric

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    for store, place, kind in (("sqlite:///m.db", "m.db", "mlflow"), ("./mlruns", "mlruns", "mlflow-files")):
        mlflow.set_tracking_uri(store)
        client = mlflow.MlflowClient()
        for run, mixture in MIXTURES.items():
            with mlflow.start_run(run_name=run) as logger:
                mlflow.log_params({"mix.code": mixture["code"], "mix.web": mixture["web"], "params": 1_000_000})
                metrics = [Metric("eval/web", loss(run, step), 1000 + step, step) for step in STEPS]
                client.log_batch(logger.info.run_id, metrics=metrics)
        with mlflow.start_run(run_name="failed"):
            mlflow.end_run("FAILED")
        pd.testing.assert_frame_equal(imported(tmp_path / place, kind), EXPECTED)


def test_tensorboard(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for run, mixture in MIXTURES.items():
        with SummaryWriter(str(tmp_path / run)) as writer:
            settings = {**{f"mix.{name}": value for name, value in mixture.items()}, "params": 1_000_000}
            writer.add_hparams(settings, {"final": 1.0})
            for step in STEPS:
                writer.add_scalar("eval/web", loss(run, step), step)
    expected = EXPECTED.assign(**{"loss.web": EXPECTED["loss.web"].astype("float32").astype(float)})
    pd.testing.assert_frame_equal(imported(tmp_path, "tensorboard"), expected)


def test_hugging_face_trainer(tmp_path: Path) -> None:
    import torch
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
    )
    rows = {"input_ids": [[1, 2, 3, 4]] * 16, "labels": [[1, 2, 3, 4]] * 16}
    other = {"input_ids": [[5, 6, 7, 8]] * 4, "labels": [[5, 6, 7, 8]] * 4}
    losses = {}
    for run in MIXTURES:
        torch.manual_seed(0)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / run),
            max_steps=4,
            eval_strategy="steps",
            eval_steps=2,
            save_steps=2,
            logging_steps=1,
            report_to=[],
            use_cpu=True,
            include_num_input_tokens_seen="all",
            per_device_train_batch_size=2,
        )
        sets = {"web": Dataset.from_dict(rows), "code": Dataset.from_dict(other)}
        trainer = Trainer(LlamaForCausalLM(config), arguments, train_dataset=sets["web"], eval_dataset=sets)
        trainer.train()
        losses[run] = trainer.evaluate(sets["code"])["eval_loss"]
    log = read_log((str(tmp_path),))
    given = {run: {f"mix.{name}": value for name, value in mixture.items()} for run, mixture in MIXTURES.items()}
    table = assemble(log, Choices(given=given, params=1000.0)).frame
    assert table[["run", "step", "tokens"]].to_numpy().tolist() == [
        [run, step, step * 8] for run in MIXTURES for step in (2, 4)
    ]
    last = table[table["step"] == 4].set_index("run")["loss.code"]
    assert last.to_dict() == pytest.approx(losses)
