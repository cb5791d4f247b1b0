"""A study carried out whole, and carried out again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlaw.conduct import conduct
from mixlaw.study import Study, open_study

PLAN = """
name = "small"
[corpus]
path = "{corpus}"
available_tokens = {{ marks = 4000 }}
[design]
mixtures = 6
repeats = 1
[training]
sequence_length = 32
batch_tokens = 128
learning_rate = 5e-3
evaluation_tokens = 256
device = "cpu"
[proxies]
sizes = ["0.03M"]
tokens = [640, 1280, 2560]
[target]
size = "0.03M"
tokens = 3840
seeds = 2
[weights]
prose = 2
"""


def quiet(trained: list[str]) -> Callable[[str], Callable[..., None]]:
    def watching(title: str) -> Callable[..., None]:
        trained.append(title)
        return lambda tally: None

    return watching


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path) -> tuple[Study, list[str]]:
    """A study carried out in a folder of its own, and what it said it would train."""
    folder, titles = tmp_path_factory.mktemp("study"), list[str]()
    (folder / "plan.toml").write_text(PLAN.format(corpus=tiny_corpus))
    return conduct(folder, quiet(titles), workers=1), titles


def test_a_study_is_carried_from_its_plan_to_its_measured_answer(carried_out: tuple[Study, list[str]]) -> None:
    study, titles = carried_out
    assert titles == ["7 proxy runs of 0.03M", "6 full runs of 0.03M on 3.84k tokens"]
    assert {outcome.name for outcome in study.outcomes} == {"optimum", "natural", "uniform"}
    assert all(len(outcome.measured) == 2 for outcome in study.outcomes)
    assert study.optimum is not None and study.optimum.certified


def test_a_finished_study_is_carried_out_again_without_training(carried_out: tuple[Study, list[str]]) -> None:
    study, _ = carried_out
    kept = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file() and path.name != "lock"}
    again = conduct(study.folder, quiet([]), workers=1)
    assert again.outcomes == study.outcomes
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_finished_study_is_read_back_from_its_folder_alone(carried_out: tuple[Study, list[str]]) -> None:
    study, _ = carried_out
    read = open_study(study.folder)
    assert read.outcomes == study.outcomes
    assert read.optimum == study.optimum
