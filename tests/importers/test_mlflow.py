"""MLflow's two stores say the same of the same runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log

RUNS = {
    "f00d" * 8: ("a", "FINISHED", "active", {"mix": '{"code": 0.25, "web": 0.75}', "params": "1000000", "note": "x"}),
    "beef" * 8: ("b", "FAILED", "active", {"mix.code": "0.5", "mix.web": "0.5", "params": "1000000"}),
    "dead" * 8: ("c", "FINISHED", "deleted", {}),
}
STATUS = {"RUNNING": 1, "FINISHED": 3, "FAILED": 4}


def sqlite_store(folder: Path) -> Path:
    """The tables of MLflow 3.17 that hold runs, with the columns that matter."""
    path = folder / "mlflow.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("create table runs (run_uuid, name, status, lifecycle_stage)")
        store.execute("create table params (key, value, run_uuid)")
        store.execute("create table metrics (key, value, timestamp, run_uuid, step, is_nan)")
        for run, (name, status, stage, params) in RUNS.items():
            store.execute("insert into runs values (?, ?, ?, ?)", (run, name, status, stage))
            store.executemany("insert into params values (?, ?, ?)", [(k, v, run) for k, v in params.items()])
            points = [("eval/web", 2.5 - step / 100, 1000 + step, run, step, 0) for step in (10, 20)]
            store.executemany("insert into metrics values (?, ?, ?, ?, ?, ?)", points)
        store.commit()
    return path


def file_store(folder: Path) -> Path:
    root = folder / "mlruns"
    for run, (name, status, stage, params) in RUNS.items():
        place = root / "0" / run
        (place / "params").mkdir(parents=True)
        (place / "metrics" / "eval").mkdir(parents=True)
        facts = {"lifecycle_stage": stage, "run_id": run, "run_name": name, "status": STATUS[status], "user_id": "''"}
        (place / "meta.yaml").write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
        for key, value in params.items():
            (place / "params" / key).write_text(value)
        lines = "".join(f"{1000 + step} {2.5 - step / 100} {step}\n" for step in (10, 20))
        (place / "metrics" / "eval" / "web").write_text(lines)
    (root / "0" / "meta.yaml").write_text("name: Default\n")
    return root


@pytest.mark.parametrize("store", [sqlite_store, file_store])
def test_runs_come_whole_with_their_state(tmp_path: Path, store: object) -> None:
    path = store(tmp_path)  # type: ignore[operator]
    runs = {run.name: run for run in read_log((str(path),)).runs}
    assert runs.keys() == {"a", "b"}, "a deleted run is not read"
    assert runs["a"].settings == {"mix.code": 0.25, "mix.web": 0.75, "params": 1_000_000, "note": "x"}
    assert runs["a"].points == ({"step": 10, "eval/web": 2.4}, {"step": 20, "eval/web": 2.3})
    assert runs["a"].unfinished == "" and runs["b"].unfinished == "failed"


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
