"""The loggers themselves write what we read; `make test-consumers` runs this in their own environment.

Every logger is given the same two runs; the run table must be the same, whatever wrote it.
"""

import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.importers import importer_of, read_log
from mixlaw.importers.assemble import assemble
from mixlaw.importers.choices import Choices
from mixlaw.importers.columns import parse_rule
from mixlaw.importers.lists import with_lists

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


def test_wandb_runs_as_people_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed with a step of overlap, lists for a mixture, losses in the summary alone, tokens logged beside them."""
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    place, project = str(tmp_path), "p"
    for steps in ((10, 20), (20, 30)):
        with wandb.init(project=project, dir=place, id="again", name="resumed", resume="allow") as logger:
            logger.config.update({"names": ["web", "code"], "parts": [0.75, 0.25]}, allow_val_change=True)
            for step in steps:
                logger.log({"eval/web": float(step + steps[0]), "h": wandb.Histogram([1, 2])}, step=step)
        time.sleep(1.1)  # wandb calls the folder after the second
    with wandb.init(project=project, dir=place, name="closing", group="swarm", config={"parts": [0.5, 0.5]}) as logger:
        logger.log({"tokens": 1000})
        logger.log({"train/loss": 2.0})
        logger.summary["eval/web"] = 2.5
    log = read_log((str(tmp_path / "wandb"),))
    runs = {run.name: run for run in log.runs}
    assert [(point["step"], point["eval/web"]) for point in runs["resumed"].points] == [(10, 20), (20, 40), (30, 50)]
    assert not any(name.startswith("h.") for name in log.names) and runs["resumed"].unfinished == ""
    assert runs["closing"].settings["wandb.group"] == "swarm"
    only = with_lists(replace(log, runs=(runs["resumed"],)), "names", "parts")
    assert only.runs[0].settings["parts.web"] == 0.75
    said = Choices(
        rules=tuple(map(parse_rule, ("loss.web=eval/web", "mix.web=parts.0", "mix.code=parts.1"))),
        params=1.0,
        last_tokens=True,
        only=("closing",),
    )
    table = assemble(log, said).frame
    assert table[["tokens", "loss.web", "mix.web"]].to_numpy().tolist() == [[1000, 2.5, 0.5]]


def test_mlflow_runs_as_people_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping as one parameter, children of a parent, two experiments, a metric that a logged model has too."""
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    for store, place in ((f"sqlite:///{tmp_path}/m.db", "m.db"), (str(tmp_path / "mlruns"), "mlruns")):
        mlflow.set_tracking_uri(store)
        mlflow.set_experiment("swarm")
        with mlflow.start_run(run_name="parent"):
            for run, mixture in MIXTURES.items():
                with mlflow.start_run(run_name=run, nested=True):
                    mlflow.log_params({"mixture": mixture, "size": 1000})
                    model = mlflow.initialize_logged_model(name="checkpoint")
                    mlflow.log_metric("eval/web", loss(run, 10), step=10, model_id=model.model_id)
        mlflow.set_experiment("other")
        with mlflow.start_run(run_name="a"):
            mlflow.log_metric("eval/web", 9.0, step=10)
        log = read_log((place,))
        rules = tuple(map(parse_rule, ("loss.*=eval/*", "mix.*=mixture.*", "params=size")))
        table = assemble(log, Choices(rules=rules, tokens_per_step=1.0, where=(("mlflow.experiment", "swarm"),)))
        assert sorted(table.frame["loss.web"]) == sorted(loss(run, 10) for run in MIXTURES)
        assert sorted(table.frame["mix.web"]) == [0.5, 0.75]
        assert "no loss of these is logged in 1 run, left out: parent" in table.notes


def test_tensorboard_curves_of_one_chart(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "a")) as writer:
        writer.add_scalars("eval/loss", {"web": 2.5, "code": 1.5}, 10)
        writer.add_scalars("eval/loss", {"web": 2.25, "code": 1.25}, 20)
        writer.add_hparams({"mix/web": 1.0}, {"final": 3.0})
    (run,) = read_log((str(tmp_path),)).runs
    assert run.name == "a" and run.settings == {"mix/web": 1.0}
    assert run.points == (
        {"step": 10, "eval/loss/web": 2.5, "eval/loss/code": 1.5},
        {"step": 20, "eval/loss/web": 2.25, "eval/loss/code": 1.25, "final": 3.0},
    )


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
    for store, place, kind in (
        (f"sqlite:///{tmp_path}/m.db", "m.db", "mlflow"),
        (str(tmp_path / "mlruns"), "mlruns", "mlflow-files"),
    ):
        mlflow.set_tracking_uri(store)
        mlflow.set_experiment("proxies")  # the last one is remembered, whatever store it was in
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
