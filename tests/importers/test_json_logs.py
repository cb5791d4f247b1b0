"""Hugging Face Trainer states and lm-evaluation-harness results."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log

State = Callable[..., str]


def test_a_run_is_its_last_checkpoint_and_each_evaluation_set_a_target(tmp_path: Path, state: State) -> None:
    for step, web in ((50, 2.9), (100, 2.5)):
        folder = tmp_path / "runs" / "a" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(state(step, 100, web))
    log = read_log((str(tmp_path / "runs"),))
    (run,) = log.runs
    assert run.name == "a" and run.unfinished == "" and "loss.*=eval_*_loss" in log.rules
    assert run.points[0]["eval_web_loss"] == 2.5 and run.points[0]["eval_code_loss"] == 1.5


def test_a_run_that_stopped_early_is_unfinished(tmp_path: Path, state: State) -> None:
    (tmp_path / "trainer_state.json").write_text(state(50, 100))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.unfinished == "stopped at step 50 of 100" and run.name == tmp_path.name


def test_nan_is_read_as_the_trainer_writes_it(tmp_path: Path, state: State) -> None:
    (tmp_path / "trainer_state.json").write_text(state(100, 100, float("nan")))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.points[0]["eval_web_loss"] != run.points[0]["eval_web_loss"]


def test_runs_of_one_name_in_two_sources_are_told_apart_by_their_paths(tmp_path: Path, state: State) -> None:
    for sweep in ("first", "second"):
        (tmp_path / sweep / "a").mkdir(parents=True)
        (tmp_path / sweep / "a" / "trainer_state.json").write_text(state(100, 100))
    sources = [(tmp_path / sweep).as_posix() for sweep in ("first", "second")]
    assert [run.name for run in read_log((sources[0],)).runs] == ["a"]
    assert [run.name for run in read_log(tuple(sources)).runs] == [f"{source}/a" for source in sources]


NO_STATES = [
    "{}",
    "[]",
    '{"log_history": [',
    '{"log_history": {}, "global_step": 1}',
    '{"log_history": [], "global_step": "z"}',
    '{"log_history": [1], "global_step": 1}',
    '{"log_history": [{"step": "x"}], "global_step": 1}',
]


@pytest.mark.parametrize("content", NO_STATES)
def test_what_is_no_state_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "trainer_state.json").write_text(content)
    with pytest.raises(Refused, match=r"trainer_state.json( is no|: an entry)"):
        read_log((str(tmp_path),))


def results(web: float) -> str:
    return json.dumps(
        {
            "results": {
                "web": {"alias": "web", "bits_per_byte,none": web, "bits_per_byte_stderr,none": "N/A"},
                "gsm8k": {"exact_match,strict-match": 0.25, "exact_match_stderr,strict-match": 0.01},
            },
            "n-samples": {"web": {"original": 10}},
        }
    )


def test_the_latest_results_of_each_model_are_a_run(tmp_path: Path) -> None:
    for model in ("a", "b"):
        (tmp_path / model).mkdir()
        (tmp_path / model / "results_2026-01-01T00-00-00.json").write_text(results(1.0))
    (tmp_path / "b" / "results_2026-02-01T00-00-00.json").write_text(results(0.9))
    log = read_log((str(tmp_path),))
    assert {run.name: run.points[0]["web/bits_per_byte"] for run in log.runs} == {"a": 1.0, "b": 0.9}
    assert log.runs[0].points[0] == {"web/bits_per_byte": 1.0, "gsm8k/exact_match,strict-match": 0.25}
    assert log.notes == ("b: of web, gsm8k the results before results_2026-02-01T00-00-00.json are left out",)
    assert importer_of((str(tmp_path),)).name == "lm-eval"


def test_tasks_evaluated_one_after_the_other_are_one_run(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for month, task in enumerate(("web", "code"), 1):
        content = json.dumps({"results": {task: {"bits_per_byte,none": month / 4}}})
        (tmp_path / "a" / f"results_2026-0{month}-01T00-00-00.json").write_text(content)
        (tmp_path / "a" / f"samples_{task}_2026-0{month}-01T00-00-00.jsonl").write_text("{}")
    log = read_log((str(tmp_path),))
    assert log.runs[0].points == ({"web/bits_per_byte": 0.25, "code/bits_per_byte": 0.5},) and not log.notes


def test_results_of_older_versions_are_found_and_others_of_that_name_are_not(tmp_path: Path) -> None:
    for model, more in (("a", {"versions": {}, "config": {}}), ("other", {})):
        (tmp_path / model).mkdir()
        (tmp_path / model / "results.json").write_text(json.dumps({"results": {"web": {"bpb": 1.0}}, **more}))
    log = read_log((str(tmp_path),))
    assert [(run.name, run.points) for run in log.runs] == [("a", ({"web/bpb": 1.0},))]
    assert importer_of((str(tmp_path / "a" / "results.json"),)).name == "lm-eval"


def test_files_named_one_by_one_are_runs_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(results(1.0))
    paths = tuple(str(tmp_path / f"{name}.json") for name in ("a", "b"))
    assert [run.name for run in read_log(paths, "lm-eval").runs] == ["a", "b"]


@pytest.mark.parametrize("content", ["[]", '{"results": 1}', '{"results": {"web": 3}}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "results_x.json").write_text(content)
    with pytest.raises(Refused, match="no result of lm-evaluation-harness"):
        read_log((str(tmp_path),))


def test_results_of_models_of_one_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    for run, web in (("a", 0.9), ("b", 0.8)):
        (tmp_path / run / "out__model").mkdir(parents=True)
        (tmp_path / run / "out__model" / "results_2026-11-21T10-00-00.json").write_text(results(web))
    found = {run.name: run.points[0]["web/bits_per_byte"] for run in read_log((str(tmp_path),)).runs}
    assert found == {"a/out__model": 0.9, "b/out__model": 0.8}
    assert [run.name for run in read_log((str(tmp_path / "a"),)).runs] == ["out__model"]
