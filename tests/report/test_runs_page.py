"""The page of a run table: what was measured, before any law."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.report.figures.curves import Curve, ceiling
from mixlaw.report.runs import runs_page
from mixlaw.report.sections.curves import associations, targets
from mixlaw.runs import RunTable, check_runs, read_runs
from mixlaw.survey import survey

Planted = Callable[..., pd.DataFrame]


def written(frame: pd.DataFrame, tmp_path: Path) -> tuple[RunTable, Path]:
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    return read_runs(path), path


def test_the_page_shows_every_final_loss_with_every_digit(planted: Planted, tmp_path: Path) -> None:
    frame = planted(runs=12, noise=0.01)
    page = runs_page(*written(frame, tmp_path))
    for loss in frame["loss.web"]:
        assert repr(float(loss)) in page


def test_curves_are_drawn_where_runs_have_several_checkpoints(planted: Planted, tmp_path: Path) -> None:
    scales = ((10**6, 10**7), (10**6, 2 * 10**7), (10**7, 10**7))
    page = runs_page(*written(planted(runs=8, scales=scales), tmp_path))
    assert "Mean loss of every run against tokens" in page and "1M parameters" in page and "10M parameters" in page
    assert ">20,000,000<" in page and "e+07<" not in page
    assert "against tokens" not in runs_page(*written(planted(runs=8), tmp_path))


def test_problems_of_the_table_stand_on_its_page(planted: Planted, tmp_path: Path) -> None:
    frame = planted(runs=8).assign(**{"loss.web": 55.0})
    assert "perplexity, not nats?" in runs_page(*written(frame, tmp_path))


@pytest.mark.parametrize("missing", ["all", "one target", "all but one run"])
def test_losses_that_are_not_measured_are_left_out_and_said(planted: Planted, tmp_path: Path, missing: str) -> None:
    frame = planted(runs=8)
    if missing == "all":
        frame[["loss.web", "loss.code"]] = np.nan
    elif missing == "one target":
        frame["loss.web"] = np.nan
    else:
        frame.loc[1:, ["loss.web", "loss.code"]] = np.nan
    page = runs_page(*written(frame, tmp_path))
    assert any(words in page for words in ("never measured", "not measured", "no run has a measured loss"))
    assert "nan" not in page.replace("nanotron", "").lower().split("<pre>")[0]


def test_the_table_of_targets_says_which_rows_it_counts_and_which_it_takes_the_losses_of(planted: Planted) -> None:
    frame = planted(runs=8, scales=((10**6, 10**7), (10**6, 2 * 10**7)))
    table = targets(survey(check_runs(frame))).tables[1]
    at_the_end = frame.loc[frame["tokens"] == 2 * 10**7, "loss.web"]
    assert table.shown[0][:4] == ["web", "16", f"{at_the_end.min():.4f}", f"{at_the_end.max():.4f}"]
    assert table.caption.startswith("targets: all rows that measured one; losses and noise at each run's last")


def test_a_domain_that_lowers_a_loss_is_blue_and_sure(planted: Planted) -> None:
    section = associations(check_runs(planted(runs=40)))
    assert section is not None and "Blue: more of the domain" in section.figures[0].caption


def test_too_few_runs_say_nothing_of_what_goes_together(planted: Planted) -> None:
    assert associations(check_runs(planted(runs=4))) is None


def test_a_run_far_above_the_others_does_not_set_the_axes() -> None:
    tokens = np.array([1.0, 2.0])
    bulk = [Curve(1.0, tokens, np.array([3.0 + 0.01 * n, 2.9])) for n in range(10)]
    assert ceiling(bulk) == pytest.approx(3.09)
    assert ceiling([*bulk, Curve(1.0, tokens, np.array([50.0, 40.0]))]) < 4
