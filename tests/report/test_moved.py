"""Weights over time and runs that no law predicted, on the page of a study."""

from io import StringIO
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.report.sections.moved import LISTED, moved, others
from mixlaw.report.sections.probed import probed
from mixlaw.report.study import study_page
from mixlaw.runs import write_runs
from mixlaw.study import Study, open_study
from mixlaw.study_files import PROBE, WEIGHTS_OVER_TIME

WAYS = "way,runs,weighted,difference,loss.web\nswitched,2,3.0,0.0,3.0\nwithout code,2,3.025,0.025,3.025\n"


def table(weighed: bool = False) -> pd.DataFrame:
    tokens = np.arange(1, 6) * 1e5
    web = np.linspace(0.5, 0.8, 5)
    frame = pd.DataFrame({"run": "grape", "step": range(5), "tokens": tokens, "mix.web": web, "mix.code": 1 - web})
    return frame.assign(**{"weight.web": 1 - web if weighed else web, "weight.code": web if weighed else 1 - web})


def test_a_study_without_moving_weights_has_no_such_section(tmp_path: Path) -> None:
    assert moved(tmp_path / WEIGHTS_OVER_TIME) is None


def test_a_long_run_is_listed_in_part_and_the_page_says_where_the_rest_is(tmp_path: Path) -> None:
    steps = np.arange(1000)
    web = 0.5 + steps / 4000
    frame = pd.DataFrame({"run": "grape", "step": steps, "tokens": steps * 1e3, "mix.web": web, "mix.code": 1 - web})
    frame.to_csv(tmp_path / WEIGHTS_OVER_TIME, index=False)
    section = moved(tmp_path / WEIGHTS_OVER_TIME)
    assert section is not None
    (listed,) = section.tables
    assert f"the rest of 1000 rows are in {WEIGHTS_OVER_TIME}" in listed.caption
    kept = pd.read_csv(StringIO(listed.csv))["step"]
    assert len(kept) == LISTED and {0, 999} <= set(kept) and np.ptp(np.diff(kept)) <= 1


@pytest.mark.parametrize(("weighed", "figures"), [(False, 1), (True, 2)])
def test_weights_are_drawn_beside_proportions_only_where_they_differ(
    tmp_path: Path, weighed: bool, figures: int
) -> None:
    table(weighed).to_csv(tmp_path / WEIGHTS_OVER_TIME, index=False)
    section = moved(tmp_path / WEIGHTS_OVER_TIME)
    assert section is not None and len(section.figures) == figures
    assert repr(0.575) in section.tables[0].csv


@pytest.mark.parametrize("text", ["", "run,tokens\na,1\n", "step,mix.web\n1,1\n"])
def test_a_table_of_something_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / WEIGHTS_OVER_TIME).write_text(text)
    with pytest.raises(Refused, match=WEIGHTS_OVER_TIME):
        moved(tmp_path / WEIGHTS_OVER_TIME)


def test_runs_that_were_not_predicted_are_shown_apart_and_spoil_nothing(study: Study, tmp_path: Path) -> None:
    folder = copytree(study.folder, tmp_path / "more")
    assert study.full_runs is not None
    frame = study.full_runs.frame
    by_hand = frame[frame["group"] == "natural"].assign(group="by hand", run=lambda rows: "hand-" + rows["run"])
    write_runs(pd.concat([frame, by_hand]), folder / "full_runs.csv")
    table().to_csv(folder / WEIGHTS_OVER_TIME, index=False)
    (folder / "doremi").mkdir()
    table().to_csv(folder / "doremi" / WEIGHTS_OVER_TIME, index=False)
    (folder / PROBE).write_text(WAYS)
    more = open_study(folder)
    assert more.outcomes == study.outcomes
    page = study_page(more)
    assert "Other full runs" in page and "by hand" in page and "Weights over time" in page
    assert "in the search &#39;doremi&#39;" in page and "What the final phase owes" in page and "+0.0250" in page
    assert study.full_runs is not None and others(study.full_runs, study.compared, study.weights) is None


def test_the_worth_of_a_batch_is_drawn_where_sequences_were_weighed(tmp_path: Path) -> None:
    frame = table().assign(effective_samples=[np.nan, 6.0, 5.5, 5.0, 5.2])
    frame.to_csv(tmp_path / WEIGHTS_OVER_TIME, index=False)
    section = moved(tmp_path / WEIGHTS_OVER_TIME)
    assert section is not None and "evenly weighed sequences" in section.figures[-1].caption


@pytest.mark.parametrize("text", ["", "way,runs\na,1\n", "way,runs,weighted,difference\na,1,high,0\n"])
def test_a_table_that_is_not_of_a_probe_is_refused_by_name(tmp_path: Path, text: str) -> None:
    assert probed(tmp_path / PROBE) is None
    (tmp_path / PROBE).write_text(text)
    with pytest.raises(Refused, match=PROBE):
        probed(tmp_path / PROBE)
