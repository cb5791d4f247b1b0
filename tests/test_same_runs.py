"""A training that several run tables have is one run, with all that any of them knows of it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.merge import joined
from mixlaw.runs import RunTable, check_runs

Planted = Callable[..., pd.DataFrame]
GRID = tuple((10**6, n * 10**7) for n in range(1, 7))


@pytest.fixture
def whole(planted: Planted) -> pd.DataFrame:
    """Four runs of six checkpoints each."""
    frame = planted(runs=4, noise=0.02, scales=GRID)
    return frame.assign(run="r" + frame["run"].str.partition("-")[2])


def until(frame: pd.DataFrame, last: float, first: float = 0.0) -> pd.DataFrame:
    return frame[(frame["tokens"] <= last) & (frame["tokens"] >= first)]


def named(frame: pd.DataFrame, name: str) -> RunTable:
    return check_runs(frame, source=f"{name}.csv")


def test_a_log_that_has_grown_takes_the_place_of_the_shorter_one(whole: pd.DataFrame) -> None:
    found = joined([named(until(whole, 3e7), "old"), named(whole, "new")])
    pd.testing.assert_frame_equal(found.frame, whole[found.frame.columns])
    assert (
        "4 runs of new.csv in old.csv too, with other checkpoints or losses (r0, r1, r2, r3); joined" in found.notes[0]
    )


def test_which_table_comes_first_does_not_change_what_is_known(whole: pd.DataFrame) -> None:
    more = whole.assign(run="n" + whole["run"], **{"loss.web": whole["loss.web"] + 0.1})
    short = pd.concat([until(whole, 3e7), more.head(6)]).sample(frac=1, random_state=0)
    one, other = (
        joined(tables).frame
        for tables in ([named(short, "a"), named(whole, "b")], [named(whole, "b"), named(short, "a")])
    )
    keys = ["run", "tokens"]
    pd.testing.assert_frame_equal(one.sort_values(keys, ignore_index=True), other.sort_values(keys, ignore_index=True))
    assert len(one) == len(whole) + 6


def test_logs_that_overlap_are_one_run_of_both_their_checkpoints(whole: pd.DataFrame) -> None:
    found = joined([named(until(whole, 4e7), "a"), named(until(whole, 9e7, 3e7), "b")])
    pd.testing.assert_frame_equal(found.frame, whole[found.frame.columns])


def test_losses_measured_later_are_added_to_the_run(whole: pd.DataFrame) -> None:
    measured = whole.drop(columns="loss.code").assign(**{"loss.maths": np.arange(len(whole)) + 1.0})
    found = joined([named(whole, "a"), named(measured, "b")])
    assert len(found) == len(whole) and set(found.targets) == {"web", "code", "maths"}
    assert np.isfinite(found.losses).all()


def test_a_log_of_single_precision_is_the_same_log(whole: pd.DataFrame) -> None:
    losses = ["loss.web", "loss.code"]
    single = whole.assign(**{name: whole[name].astype(np.float32).astype(float) for name in losses})
    found = joined([named(until(whole, 3e7), "a"), named(single, "b")])
    assert len(found) == len(whole)
    assert (found.frame.loc[found.tokens <= 3e7, "loss.web"].to_numpy() == until(whole, 3e7)["loss.web"]).all()


def test_the_mixture_of_a_run_is_that_of_its_longest_log(whole: pd.DataFrame) -> None:
    early = until(whole, 3e7).assign(**{"mix.web": whole["mix.web"] + 4e-4, "mix.code": whole["mix.code"] - 4e-4})
    early = early[early["mix.code"] >= 0]
    found = joined([named(early, "a"), named(whole, "b")])
    proportions = found.frame.groupby("run")["mix.web"].agg(["min", "max"])
    expected = whole.groupby("run")["mix.web"].first()
    assert (proportions["min"] == expected).all() and (proportions["max"] == expected).all()


def test_runs_in_two_stages_and_runs_of_one_mixture_grow_alike(whole: pd.DataFrame) -> None:
    late = whole["run"] == "r1"
    staged = whole.assign(final_share=np.where(late, 0.2, np.nan))
    for name, share in {"web": 1.0, "code": 0.0, "books": 0.0}.items():
        staged[f"mix.{name}"] = np.where(late, 0.8 / 3 + 0.2 * share, whole[f"mix.{name}"])
        staged[f"final.{name}"] = np.where(late, share, np.nan)
    found = joined([named(until(staged, 3e7), "old"), named(staged, "new")])
    pd.testing.assert_frame_equal(found.frame, staged[found.frame.columns])


@pytest.mark.parametrize("by", [0.05, 3e-5])
def test_logs_that_contradict_each_other_are_refused_with_the_difference(whole: pd.DataFrame, by: float) -> None:
    """A loss measured again in one place, or all of them with fewer digits."""
    other = whole.copy()
    where = whole.index[whole["run"] == "r2"][:1] if by > 1e-3 else whole.index
    other.loc[where, "loss.web"] += by
    at = until(whole, 3e7)
    with pytest.raises(Refused) as refused:
        joined([named(at, "old"), named(other, "new")])
    said = str(refused.value)
    run = "r2" if by > 1e-3 else "r0"
    first = at.loc[at["run"] == run, "loss.web"].iloc[0]
    assert said.startswith(f"run '{run}' is in old.csv and in new.csv, and {1 if by > 1e-3 else 3} of 6 losses")
    if by > 1e-3:
        assert f"most loss.web at 1e+07 tokens: {first:.6f} and {first + by:.6f}; keep the log that is right" in said


def test_repeats_that_share_a_name_stay_two_runs_even_where_some_losses_agree(whole: pd.DataFrame) -> None:
    repeat = whole.round({"loss.web": 2, "loss.code": 2})
    again = repeat.assign(**{"loss.web": repeat["loss.web"] + 0.01 * (np.arange(len(whole)) % 3)})
    again["loss.code"] += 0.02
    found = joined([named(repeat, "a"), named(again, "b")])
    assert sorted(set(found.runs)) == sorted(f"{table}.r{n}" for table in "ab" for n in range(4))


def test_a_run_that_branches_off_another_keeps_its_own_rows(whole: pd.DataFrame) -> None:
    trunk = whole[whole["run"] == "r0"]
    branch = pd.concat([until(trunk, 3e7), until(trunk, 9e7, 4e7).assign(**{"loss.web": 1.9})]).assign(run="decayed")
    found = joined([named(trunk, "a"), named(branch, "b")])
    assert found.frame["run"].value_counts().to_dict() == {"r0": 6, "decayed": 6} and not found.notes


def test_a_log_under_another_name_is_the_run_it_holds_all_of(whole: pd.DataFrame) -> None:
    renamed = whole.assign(run="x" + whole["run"])
    found = joined([named(until(whole, 3e7), "a"), named(renamed, "b")])
    assert sorted(set(found.runs)) == ["r0", "r1", "r2", "r3"] and len(found) == len(whole)


def test_a_table_that_adds_nothing_is_refused(whole: pd.DataFrame) -> None:
    with pytest.raises(Refused, match=r"old\.csv adds nothing: every run of it is in new\.csv already"):
        joined([named(whole, "new"), named(until(whole, 3e7), "old")])


def test_runs_of_three_tables_are_joined_to_the_first_that_has_them(whole: pd.DataFrame) -> None:
    parts = [until(whole, 2e7), until(whole, 4e7, 2e7), until(whole, 6e7, 4e7)]
    found = joined([named(part, name) for part, name in zip(parts, "abc", strict=True)])
    pd.testing.assert_frame_equal(found.frame, whole[found.frame.columns])
