"""Runs that changed mixture on the way say so in columns of their own, and are no evidence on one mixture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.merge import joined, with_domains, without_domain
from mixlaw.runs import check_runs, read_runs, write_runs
from mixlaw.survey import survey

Planted = Callable[..., pd.DataFrame]
DOMAINS = ("web", "code", "books")


def staged(frame: pd.DataFrame, rows: int = 3, share: float = 0.2) -> pd.DataFrame:
    """The first rows with a final phase that leans towards code."""
    frame = frame.copy()
    for place, name in enumerate(DOMAINS):
        whole = frame.loc[: rows - 1, f"mix.{name}"]
        frame.loc[: rows - 1, f"final.{name}"] = 0.5 * whole + 0.5 * (place == 1)
        frame.loc[: rows - 1, f"mix.{name}"] = (1 - share) * whole + share * frame.loc[: rows - 1, f"final.{name}"]
    frame.loc[: rows - 1, "final_share"] = share
    return frame


def test_final_phases_are_read_and_blank_means_one_mixture(planted: Planted) -> None:
    table = check_runs(staged(planted(runs=6)))
    assert table.in_two_stages.tolist() == [True] * 3 + [False] * 3
    assert table.final_shares.tolist() == [0.2] * 3 + [0.0] * 3
    np.testing.assert_allclose(table.finals.sum(axis=1), 1)
    np.testing.assert_array_equal(table.finals[3:], table.proportions[3:])
    assert not any("not used" in note for note in table.notes)


def edit(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({column: object})
        frame.loc[1, column] = value
        return frame

    return spoil


REFUSALS = {
    "more than the whole": (
        lambda f: f.assign(**{"final.web": 0.0, "final.code": 1.0, "final.books": 0.0, "mix.web": 0.9, "mix.code": 0.1})
        .assign(**{"mix.books": 0.0, "final_share": 0.2}),
        r"row 1.*final phase alone read 0\.2 of the run's tokens from 'code'.*mix\.code is 0\.1",
    ),
    "share of one": (edit("final_share", 1.0), r"row 2.*final_share is 1; it lies between 0 and 1"),
    "share of nothing": (edit("final_share", 0.0), r"row 2.*final_share is 0"),
    "no share": (edit("final_share", None), r"row 2.*no final_share"),
    "a blank": (edit("final.web", None), r"row 2.*1 blank"),
    "sum": (edit("final.web", 0.99), r"row 2.*final\.\* sum to"),
    "text": (edit("final.web", "much"), r"row 2, column 'final\.web': 'much' is not a number"),
    "unknown domain": (lambda f: f.rename(columns={"final.web": "final.wbe"}), r"final\.\* columns.*wbe.*web"),
    "domain left out": (lambda f: f.drop(columns="final.web"), r"no column final\.web"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_final_phase_that_contradicts_its_row_is_refused_by_row(planted: Planted, name: str) -> None:
    spoil, message = REFUSALS[name]
    with pytest.raises(Refused, match=message):
        check_runs(spoil(staged(planted(runs=4))))


def test_a_run_is_in_two_stages_at_every_checkpoint_or_at_none(planted: Planted) -> None:
    frame = staged(planted(runs=3, scales=((10**6, 10**7), (10**6, 2 * 10**7))), rows=1)
    frame["run"] = np.repeat(["a", "b", "c"], 2)
    frame.loc[1, [f"mix.{name}" for name in DOMAINS]] = frame.loc[0, [f"mix.{name}" for name in DOMAINS]]
    with pytest.raises(Refused, match=r"run 'a' has column 'final"):
        check_runs(frame)


def test_columns_called_final_mean_nothing_without_a_share(planted: Planted) -> None:
    table = check_runs(planted(runs=4).assign(**{"final.loss": 2.0}))
    assert not table.in_two_stages.any() and any("final.loss" in note for note in table.notes)


def test_a_law_is_fitted_to_runs_of_one_mixture_and_says_which_it_left_out(planted: Planted) -> None:
    frame = staged(planted(runs=20, noise=0.01), rows=5)
    frame.loc[:4, ["loss.web", "loss.code"]] += 1.0
    found = fit(check_runs(frame), "exponential")
    alone = fit(check_runs(frame.iloc[5:].drop(columns=[c for c in frame if c.startswith("final")])), "exponential")
    mixtures = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    np.testing.assert_allclose(found.at().law.predict(mixtures), alone.at().law.predict(mixtures), atol=1e-12)
    assert found.evidence.runs == 15
    (note,) = [note for note in found.diagnostics.notes if "final phase" in note]
    assert "5 runs" in note and "1000000-0" in note and "mixlaw schedule" in note


def test_runs_in_two_stages_alone_are_no_evidence(planted: Planted) -> None:
    with pytest.raises(Refused, match="every run has a final phase"):
        fit(check_runs(staged(planted(runs=12), rows=12)))


def test_a_run_in_two_stages_is_no_repeat_of_one_that_read_the_same_in_all(planted: Planted) -> None:
    frame = staged(planted(runs=8), rows=1)
    mix = [f"mix.{name}" for name in DOMAINS]
    frame.loc[5, mix] = frame.loc[0, mix]
    found = survey(check_runs(frame))
    assert found.repeats == 0 and found.mixtures == 8
    assert any("1 run changed mixture on the way" in note for note in found.notes)


def test_final_phases_follow_their_domains_when_tables_are_joined(planted: Planted) -> None:
    table = check_runs(staged(planted(runs=6)))
    halves = with_domains(table, {"code": {"python": 0.5, "rust": 0.5}})
    np.testing.assert_allclose(halves.frame["final.rust"][:3], table.frame["final.code"][:3] / 2)
    other = check_runs(planted(runs=5, seed=3).rename(columns={"mix.books": "mix.maths"}))
    both = joined([table, other])
    assert both.in_two_stages.sum() == 3 and (both.finals[:3, both.domains.index("maths")] == 0).all()
    less = table.frame.assign(**{"mix.books": 0.0, "final.books": 0.0})
    for kind in ("mix.", "final."):
        columns = [f"{kind}{name}" for name in DOMAINS]
        less[columns] = less[columns].div(less[columns].sum(axis=1), axis=0)
    left = without_domain(check_runs(less), "books")
    assert left.domains == ("web", "code") and left.in_two_stages.sum() == 3


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_final_phases_read_back_from_a_file(planted: Planted, tmp_path: Path, suffix: str) -> None:
    table = check_runs(staged(planted(runs=6)))
    write_runs(table, tmp_path / f"runs.{suffix}")
    again = read_runs(tmp_path / f"runs.{suffix}")
    pd.testing.assert_frame_equal(again.frame, table.frame, check_exact=True, check_like=True)
    assert again.in_two_stages.tolist() == table.in_two_stages.tolist()
