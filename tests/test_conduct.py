"""A study carried out whole, and carried out again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlaw.conduct import conduct
from mixlaw.study import open_study

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


@pytest.fixture
def folder(tmp_path: Path, tiny_corpus: Path) -> Path:
    (tmp_path / "plan.toml").write_text(PLAN.format(corpus=tiny_corpus))
    return tmp_path


def quiet(trained: list[str]) -> Callable[[str], Callable[..., None]]:
    def watching(title: str) -> Callable[..., None]:
        trained.append(title)
        return lambda tally: None

    return watching


def test_a_study_is_carried_from_its_plan_to_its_measured_answer_and_again_without_training(folder: Path) -> None:
    titles: list[str] = []
    study = conduct(folder, quiet(titles), workers=1)
    assert titles == ["7 proxy runs of 0.03M", "6 full runs of 0.03M on 3.84k tokens"]
    assert {outcome.name for outcome in study.outcomes} == {"optimum", "natural", "uniform"}
    assert all(len(outcome.measured) == 2 for outcome in study.outcomes)
    assert study.optimum is not None and study.optimum.certified

    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    again = conduct(folder, quiet([]), workers=1)
    assert again.outcomes == study.outcomes
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_finished_study_is_read_back_from_its_folder_alone(folder: Path) -> None:
    study = conduct(folder, quiet([]), workers=1)
    read = open_study(folder)
    assert read.outcomes == study.outcomes
    assert read.optimum == study.optimum
