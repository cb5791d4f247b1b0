"""MLflow's two stores say the same of the same runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log
from mixlaw.importers.choices import Choices, choose_runs, parse_where

RUNS = {
    "f00d" * 8: ("a", "FINISHED", "active", {"mix": "{'code': 0.25, 'web': 0.75}", "params": "1000000", "note": "x"}),
    "beef" * 8: ("b", "FAILED", "active", {"mix.code": "0.5", "mix.web": "0.5", "params": "1000000"}),
    "dead" * 8: ("c", "FINISHED", "deleted", {}),
}
EXPERIMENTS = {"a": 1, "b": 2, "c": 2}
STATUS = {"RUNNING": 1, "FINISHED": 3, "FAILED": 4}


def sqlite_store(folder: Path) -> Path:
    """The tables of MLflow 3.17 that hold runs, with the columns that matter."""
    path = folder / "mlflow.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("create table experiments (experiment_id, name, lifecycle_stage)")
        store.execute("insert into experiments values (1, 'swarm', 'active'), (2, 'other', 'active')")
        store.execute("create table runs (run_uuid, name, status, lifecycle_stage, experiment_id)")
        store.execute("create table tags (key, value, run_uuid)")
        store.execute("create table params (key, value, run_uuid)")
        store.execute("create table metrics (key, value, timestamp, run_uuid, step, is_nan)")
        for run, (name, status, stage, params) in RUNS.items():
            store.execute("insert into runs values (?, ?, ?, ?, ?)", (run, name, status, stage, EXPERIMENTS[name]))
            tags = [("team", "nlp", run), ("mlflow.source.name", "train.py", run)]
            store.executemany("insert into tags values (?, ?, ?)", tags)
            store.executemany("insert into params values (?, ?, ?)", [(k, v, run) for k, v in params.items()])
            points = [("eval/web", 2.5 - step / 100, 1000 + step, run, step, 0) for step in (10, 20)]
            store.executemany("insert into metrics values (?, ?, ?, ?, ?, ?)", points)
        store.commit()
    return path


def file_store(folder: Path) -> Path:
    root = folder / "mlruns"
    for number, experiment in enumerate(("swarm", "other"), 1):
        (root / str(number)).mkdir(parents=True)
        (root / str(number) / "meta.yaml").write_text(f"name: {experiment}\n")
    for run, (name, status, stage, params) in RUNS.items():
        place = root / str(EXPERIMENTS[name]) / run
        (place / "tags").mkdir(parents=True)
        (place / "tags" / "team").write_text("nlp")
        (place / "tags" / "mlflow.source.name").write_text("train.py")
        (place / "params").mkdir(parents=True)
        (place / "metrics" / "eval").mkdir(parents=True)
        facts = {"lifecycle_stage": stage, "run_id": run, "run_name": name, "status": STATUS[status], "user_id": "''"}
        (place / "meta.yaml").write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
        for key, value in params.items():
            (place / "params" / key).write_text(value)
        lines = "".join(f"{1000 + step} {2.5 - step / 100} {step}\n" for step in (10, 20))
        (place / "metrics" / "eval" / "web").write_text(lines)
    return root


@pytest.mark.parametrize("store", [sqlite_store, file_store])
def test_runs_come_whole_with_their_state(tmp_path: Path, store: object) -> None:
    path = store(tmp_path)  # type: ignore[operator]
    runs = {run.name: run for run in read_log((str(path),)).runs}
    assert runs.keys() == {"a", "b"}, "a deleted run is not read"
    assert runs["a"].settings == {"mix.code": 0.25, "mix.web": 0.75, "params": 1_000_000, "note": "x"} | {
        "mlflow.experiment": "swarm",
        "tags.team": "nlp",
    }
    assert runs["a"].points == ({"step": 10, "eval/web": 2.4}, {"step": 20, "eval/web": 2.3})
    assert runs["a"].unfinished == "" and runs["b"].unfinished == "failed"


@pytest.mark.parametrize("store", [sqlite_store, file_store])
def test_several_experiments_are_named_with_the_way_to_take_one(tmp_path: Path, store: object) -> None:
    log = read_log((str(store(tmp_path)),))  # type: ignore[operator]
    assert log.notes == (
        "experiments: other (1 run), swarm (1 run); --where mlflow.experiment=NAME takes the runs of one",
    )
    taken, _ = choose_runs(log, Choices(where=(parse_where("mlflow.experiment=swarm"),)))
    assert [run.name for run in taken] == ["a"]


def test_a_model_that_a_run_logged_is_no_run(tmp_path: Path) -> None:
    root = file_store(tmp_path)
    model = root / "1" / "models" / "m-1"
    (model / "metrics" / "eval").mkdir(parents=True)
    (model / "metrics" / "eval" / "web").write_text("1010 2.4 10 f00d\n")
    (model / "meta.yaml").write_text("model_id: m-1\nname: checkpoint\nlifecycle_stage: active\nstatus: 2\n")
    assert {run.name for run in read_log((str(root),)).runs} == {"a", "b"}


def test_each_store_is_recognised(tmp_path: Path) -> None:
    assert importer_of((str(sqlite_store(tmp_path)),)).name == "mlflow"
    assert importer_of((str(file_store(tmp_path)),)).name == "mlflow-files"


def test_what_sqlite_stores_for_nan_and_infinity_is_read_as_such(tmp_path: Path) -> None:
    path = sqlite_store(tmp_path)
    with closing(sqlite3.connect(path)) as store:
        rows = [("x", 0.0, 1, "f00d" * 8, 10, 1), ("y", 1.7976931348623157e308, 1, "f00d" * 8, 10, 0)]
        store.executemany("insert into metrics values (?, ?, ?, ?, ?, ?)", rows)
        store.commit()
    (point, _), _ = (run.points for run in sorted(read_log((str(path),)).runs, key=lambda run: run.name))
    assert point["x"] != point["x"] and point["y"] == float("inf")


def test_a_store_is_found_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "50% web #1?"
    folder.mkdir()
    assert len(read_log((str(sqlite_store(folder)),)).runs) == 2


def test_another_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("create table things (name)")
    with pytest.raises(Refused, match=r"other.db cannot be read as an MLflow store: no such table"):
        read_log((str(path),))


def test_a_broken_metric_file_is_refused_by_line(tmp_path: Path) -> None:
    root = file_store(tmp_path)
    next(root.rglob("web")).write_text("1000 2.4\n")
    with pytest.raises(Refused, match=r"web: line 1 is '1000 2.4', not 'time value step'"):
        read_log((str(root),))
