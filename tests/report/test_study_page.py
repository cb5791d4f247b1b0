"""The report of a study: whole, self-contained, and true to the files it shows."""

import json
import re
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.report.page import Section, render
from mixlaw.report.study import GROUPS, study_page
from mixlaw.runs import read_runs, write_runs
from mixlaw.study import Study, open_study


@pytest.fixture(scope="module")
def page(study: Study) -> str:
    return study_page(study)


def test_the_page_is_self_contained_and_escapes_what_users_wrote(page: str) -> None:
    assert "Planted &lt;study&gt;" in page and "<study>" not in page
    assert not re.search(r'(src|href)="http', page) and "<script" not in page
    assert page.count("<svg") == page.count("</svg>") >= 9


def test_the_page_shows_every_full_run_as_it_was_measured(study: Study, page: str) -> None:
    for outcome in study.outcomes:
        assert f"{outcome.predicted:.4f}" in page
        assert ", ".join(f"{loss:.4f}" for loss in outcome.measured) in page


def test_a_study_half_done_is_reported_as_far_as_it_is(study: Study, tmp_path: Path) -> None:
    folder = copytree(study.folder, tmp_path / "half")
    for name in ("full_runs.csv", "optimum.json", "law.json"):
        (folder / name).unlink()
    page = study_page(open_study(folder))
    assert "Losses measured" in page and "no law has been fitted" in page
    assert "What came out" not in page and "The law" not in page


def test_an_optimum_that_another_law_found_is_said_to_be_so(study: Study, page: str, tmp_path: Path) -> None:
    assert "run mixlaw optimize again" not in page
    folder = copytree(study.folder, tmp_path / "old")
    content = json.loads((folder / "optimum.json").read_text())
    (folder / "optimum.json").write_text(json.dumps(content | {"low": content["low"] - 0.01}))
    assert "it was found with another law, or other weights; run mixlaw optimize again" in study_page(
        open_study(folder)
    )


def test_a_study_whose_optimum_alone_was_trained_claims_no_more(study: Study, page: str, tmp_path: Path) -> None:
    assert "beside the obvious ones" in page
    folder = copytree(study.folder, tmp_path / "alone")
    runs = read_runs(folder / "full_runs.csv")
    write_runs(runs.where(runs.frame["group"] == "optimum").frame, folder / "full_runs.csv")
    assert "best mixture was then trained in full." in study_page(open_study(folder))


def test_the_same_study_makes_the_same_page(study: Study, page: str) -> None:
    assert page == study_page(open_study(study.folder))


def test_full_runs_are_held_against_predictions_by_the_name_of_their_mixture(study: Study) -> None:
    assert [outcome.name for outcome in study.outcomes] == ["optimum", "natural", "uniform"]
    for outcome in study.outcomes:
        assert outcome.mean == pytest.approx(outcome.predicted + 0.005, abs=2e-3)
        assert outcome.inside


def test_the_optimum_of_a_study_keeps_the_limits_of_its_plan(study: Study) -> None:
    assert study.optimum is not None and study.optimum.certified
    assert study.limits.allows(np.array(study.optimum.mixture.aligned(study.limits.domains)))


def test_a_folder_without_a_plan_is_not_a_study(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no plan\.toml"):
        open_study(tmp_path)


def test_a_page_without_figures_is_still_a_page() -> None:
    assert '<h2 id="part-1">Empty</h2>' in render("Title", ["lead"], [Section("Empty")])


def test_groups_in_the_folder_of_a_study_bring_the_front_to_its_page(study: Study, tmp_path: Path) -> None:
    folder = copytree(study.folder, tmp_path / "grouped")
    (folder / GROUPS).write_text(json.dumps({"code": ["code"], "prose": {"web": 1}}))
    assert "What one group must lose" in study_page(open_study(folder))


def test_groups_of_targets_that_a_study_does_not_have_are_refused_with_their_file(study: Study, tmp_path: Path) -> None:
    folder = copytree(study.folder, tmp_path / "grouped")
    (folder / GROUPS).write_text(json.dumps({"code": ["cobol"], "prose": {"web": 1}}))
    with pytest.raises(Refused, match=r"groups\.json: group 'code': no target is called 'cobol'"):
        study_page(open_study(folder))


def test_the_answer_stands_at_the_top_of_the_page(study: Study, page: str) -> None:
    assert study.optimum is not None
    top = page[: page.index("<main>")]
    assert f"{study.optimum.loss:.3f}" in top and f"{study.outcomes[0].mean:.3f}" in top
