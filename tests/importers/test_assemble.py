"""The run table that a log gives: complete, in nats, the same every time; what is missing is asked for."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.importers.assemble import assemble
from mixlaw.importers.base import Log, LoggedRun, merge_steps
from mixlaw.importers.choices import Choices, parse_where
from mixlaw.importers.columns import parse_rule
from mixlaw.importers.names import parse_pattern
from mixlaw.importers.units import LossUnit, nats_per_token

SETTINGS = {"mix.code": 0.25, "mix.web": 0.75, "params": 1_000_000}
POINTS = (
    {"step": 0, "eval/web": 9.0},
    {"step": 10, "train/loss": 3.0},
    {"step": 10, "eval/web": 2.5, "eval/code": 1.5},
    {"step": 20, "eval/web": 2.25, "eval/code": 1.25},
)
RULES = (parse_rule("loss.*=eval/*"),)


def log(settings: Mapping[str, Any] = SETTINGS, points: tuple[Mapping[str, Any], ...] = POINTS, **run: Any) -> Log:
    return Log("log", (LoggedRun("a", points, settings, **run),))


def frame(source: Log, **choices: Any) -> pd.DataFrame:
    return assemble(source, Choices(**{"rules": RULES, "tokens_per_step": 100.0, **choices})).frame


def test_steps_become_tokens_and_points_rows() -> None:
    table = frame(log())
    assert table["tokens"].tolist() == [1000, 2000] and table["loss.web"].tolist() == [2.5, 2.25]
    assert table["mix.web"].tolist() == [0.75, 0.75] and table["params"].dtype == "int64"


def test_the_order_of_runs_and_points_does_not_matter() -> None:
    runs = (LoggedRun("a", POINTS, SETTINGS), LoggedRun("b", POINTS, SETTINGS))
    mirrored = tuple(LoggedRun(run.name, run.points[::-1], run.settings) for run in runs[::-1])
    pd.testing.assert_frame_equal(frame(Log("log", runs)), frame(Log("log", mirrored)))


def test_a_run_that_ends_before_nearly_all_others_of_its_size_is_named() -> None:
    def notes(*ends: int) -> str:
        runs = tuple(
            LoggedRun(f"r{n}", tuple({"step": step, "eval/web": 2.0} for step in range(10, end + 1, 10)), SETTINGS)
            for n, end in enumerate(ends)
        )
        return " ".join(assemble(Log("log", runs), Choices(rules=RULES, tokens_per_step=1e6)).notes)

    assert "ended before the others of its size: r2 (40M of 80M tokens)" in notes(80, 80, 40, 80, 80)
    assert "ended before" not in notes(80, 80, 80) + notes(80, 40, 20)


def test_losses_logged_apart_at_the_same_tokens_are_one_row() -> None:
    points = ({"step": 5, "tokens": 1000, "eval/web": 2.5}, {"step": 6, "tokens": 1000, "eval/code": 1.5})
    assert frame(log(points=points))[["loss.web", "loss.code"]].to_numpy().tolist() == [[2.5, 1.5]]
    clash = ({"tokens": 1000, "eval/web": 2.5}, {"tokens": 1000, "eval/web": 2.6})
    with pytest.raises(Refused, match=r"run 'a' has several values of loss.web at 1000 tokens"):
        frame(log(points=clash))
    budget = {**SETTINGS, "tokens": 5000}
    with pytest.raises(Refused, match="at 5000 tokens; they are of steps 0, 10, 20: say the tokens of each step"):
        frame(log(budget))


@pytest.mark.parametrize(
    ("source", "choices", "message"),
    [
        (log(), {"tokens_per_step": None}, r"has no tokens, and it is not guessed; pass --tokens-per-step"),
        (log({"mix.web": 1.0}), {}, r"has no params.*--params"),
        (log({"params": 1}), {}, r"has no mixture.*--runs"),
        (log(), {"rules": ()}, r"no name is taken for a loss; there are: eval/code.*--map"),
        (log(points=POINTS[:1]), {}, "from before training"),
        (log(unfinished="crashed"), {}, r"all runs are unfinished: a \(crashed\).*--unfinished"),
        (log(), {"only": ("b*",)}, r"no run is called like b\*; there are: a"),
        (log({**SETTINGS, "params": "big"}), {}, "params is 'big', not a number"),
        (log({**SETTINGS, "mix.web": 0.9}), {}, "sum to 1.15"),
    ],
)
def test_what_is_missing_or_wrong_is_asked_for(source: Log, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        frame(source, **choices)


def test_an_unfinished_run_is_left_out_and_named() -> None:
    runs = (LoggedRun("a", POINTS, SETTINGS), LoggedRun("b", POINTS, SETTINGS, "crashed"))
    choices = Choices(rules=RULES, tokens_per_step=100.0)
    table = assemble(Log("log", runs), choices)
    assert set(table.frame["run"]) == {"a"} and any("b (crashed)" in note for note in table.notes)
    assert set(frame(Log("log", runs), unfinished=True)["run"]) == {"a", "b"}


def test_a_mixture_given_apart_wins_over_the_log_and_a_run_without_one_is_refused() -> None:
    given = {"a": {"mix.web": 0.5, "mix.books": 0.5, "params": 2_000_000.0}}
    table = frame(log(), given=given)
    assert table["params"].tolist() == [2_000_000] * 2 and table["mix.books"].tolist() == [0.5] * 2
    assert "mix.code" not in table
    with pytest.raises(Refused, match=r"run 'a' is logged but not in --runs"):
        frame(log(), given={"aa": given["a"]})


def test_a_mixture_in_the_name_of_a_run_is_read() -> None:
    source = Log("log", (LoggedRun("web0.75-code0.25", POINTS, {"params": 1}),))
    assert frame(source, pattern=parse_pattern("web{mix.web}-code{mix.code}"))["mix.code"].tolist() == [0.25] * 2


def test_a_run_whose_name_says_nothing_keeps_the_mixture_it_logged_and_that_is_said() -> None:
    named, logged = LoggedRun("web0.5-code0.5", POINTS, {"params": 1}), LoggedRun("b", POINTS, SETTINGS)
    choices = Choices(rules=RULES, tokens_per_step=100.0, pattern=parse_pattern("web{mix.web}-code{mix.code}"))
    table = assemble(Log("log", (named, logged)), choices)
    assert table.frame["mix.web"].tolist() == [0.75, 0.75, 0.5, 0.5]
    assert "names not of --run-pattern in 1 run: the mixtures logged are taken" in table.notes
    with pytest.raises(Refused, match=r"name of run 'b' is not like"):
        assemble(Log("log", (named, LoggedRun("b", POINTS, {"params": 1}))), choices)
    with pytest.raises(Refused, match=r"name of run 'a' is not like"):  # the pattern says a size, which was not logged
        mixture = {"mix.web": 0.75, "mix.code": 0.25}
        assemble(log(mixture), Choices(rules=RULES, tokens_per_step=100.0, pattern=parse_pattern("{params}")))


def test_a_domain_not_named_is_zero_only_where_the_others_sum_to_one() -> None:
    whole = LoggedRun("b", POINTS, {"mix.web": 1.0, "params": 1})
    part = LoggedRun("b", POINTS, {"mix.web": 0.5, "params": 1})
    table = frame(Log("log", (LoggedRun("a", POINTS, SETTINGS), whole)))
    assert table.loc[table["run"] == "b", "mix.code"].tolist() == [0.0, 0.0]
    with pytest.raises(Refused, match=r"'mix.code' is blank"):
        frame(Log("log", (LoggedRun("a", POINTS, SETTINGS), part)))


def test_losses_that_are_not_finite_are_blank_and_their_runs_named() -> None:
    points = (
        {"step": 10, "eval/web": math.nan, "eval/code": 1.5},
        {"step": 20, "eval/web": math.inf, "eval/code": math.nan},
    )
    table = assemble(log(points=points), Choices(rules=RULES, tokens_per_step=100.0))
    assert len(table) == 1 and np.isnan(table.losses).sum() == 1
    assert any("not finite were left blank in: a" in note for note in table.notes)


def test_one_loss_that_is_not_a_number_is_said_though_the_rest_of_its_row_is_kept() -> None:
    points = ({"step": 10, "eval/web": math.nan, "eval/code": 1.5}, {"step": 20, "eval/web": 2.0, "eval/code": 1.4})
    table = assemble(log(points=points), Choices(rules=RULES, tokens_per_step=100.0))
    assert len(table) == 2 and "losses that are not finite were left blank in: a" in table.notes


def test_every_unit_comes_to_the_same_nats() -> None:
    nats = np.array([0.5, 2.0, math.nan])
    written = {
        LossUnit.NATS: nats,
        LossUnit.BITS: nats / math.log(2),
        LossUnit.PERPLEXITY: np.exp(nats),
        LossUnit.BITS_PER_BYTE: nats / math.log(2) / 4.2,
    }
    for unit, values in written.items():
        np.testing.assert_allclose(nats_per_token(values, unit, 4.2), nats, rtol=1e-15)
    with pytest.raises(Refused, match="perplexity is -1"):
        nats_per_token(np.array([-1.0]), LossUnit.PERPLEXITY)


def test_units_are_converted_only_when_said_and_by_target_where_they_differ() -> None:
    assert frame(log())["loss.web"].tolist() == [2.5, 2.25]
    per_byte = frame(log(), unit=LossUnit.BITS_PER_BYTE, bytes_per_token={"web": 4.0, "code": 2.0})
    assert per_byte["loss.web"][0] == pytest.approx(10 * math.log(2)) and per_byte["loss.code"][0] == pytest.approx(
        3 * math.log(2)
    )
    with pytest.raises(Refused, match="--bytes-per-token has no 'web'"):
        frame(log(), unit=LossUnit.BITS_PER_BYTE, bytes_per_token={"code": 2.0})


def test_a_step_logged_twice_keeps_the_later_values() -> None:
    points, replaced = merge_steps(
        [{"step": 2, "x": 1}, {"step": 1, "x": 2}, {"step": 2, "x": 3, "y": 4}, {"step": 2, "y": 4}]
    )
    assert points == ({"step": 1, "x": 2}, {"step": 2, "x": 3, "y": 4}) and replaced == 1


def test_names_of_runs_to_take_are_literal_but_for_the_star() -> None:
    runs = tuple(LoggedRun(name, POINTS, SETTINGS) for name in ("a[1]", "a[2]", "a1"))
    assert set(frame(Log("log", runs), only=("a[1]",))["run"]) == {"a[1]"}
    assert set(frame(Log("log", runs), only=("a[*",))["run"]) == {"a[1]", "a[2]"}
    assert set(frame(Log("log", runs), only=("a[*", "a1"), excluded=("*2]",))["run"]) == {"a[1]", "a1"}
    for choices in ({"only": ("a1", "b*")}, {"excluded": ("b*",)}):
        with pytest.raises(Refused, match=r"no run is called like b\*; there are: a\[1\]"):
            frame(Log("log", runs), **choices)
    with pytest.raises(Refused, match="--except leaves out every run"):
        frame(Log("log", runs), excluded=("*",))


def test_runs_are_taken_by_what_they_logged() -> None:
    runs = tuple(LoggedRun(name, POINTS, {**SETTINGS, "group": group}) for name, group in (("a", "x1"), ("b", "y")))
    unlabelled = LoggedRun("c", POINTS, SETTINGS)
    log_of_all = Log("log", (*runs, unlabelled))
    assert set(frame(log_of_all, where=(parse_where("group=x*"),))["run"]) == {"a"}
    with pytest.raises(Refused, match="no run has group like 'z'; there are: x1, y"):
        frame(log_of_all, where=(("group", "z"),))
    with pytest.raises(Refused, match="no name in the log is called 'grup'; did you mean 'group'"):
        frame(log_of_all, where=(("grup", "x1"),))
    with pytest.raises(Refused, match="'group' is not NAME=VALUE"):
        parse_where("group")


def test_runs_without_a_mixture_are_named_together_and_those_without_losses_need_none() -> None:
    runs = (
        LoggedRun("a", POINTS, SETTINGS),
        LoggedRun("b", POINTS, {"params": 1}),
        LoggedRun("c", POINTS, {"params": 1}),
        LoggedRun("parent", ({"step": 10, "train/loss": 3.0},)),
    )
    with pytest.raises(Refused, match=r"2 runs have no mixture, and it is not guessed \(b, c\).*--except"):
        frame(Log("log", runs))
    table = assemble(
        Log("log", runs),
        Choices(rules=RULES, tokens_per_step=100.0, given={"a": {"mix.web": 1.0}}, excluded=("b", "c")),
    )
    assert set(table.frame["run"]) == {"a"}
    assert "no loss of these is logged in 1 run, left out: parent" in table.notes


def test_what_a_run_has_one_of_may_be_logged_once() -> None:
    first, *rest = POINTS
    mixture = {"mix.web": 0.75, "mix.code": 0.25}
    table = frame(log({}, points=({**first, **SETTINGS}, *rest)))
    assert table["params"].tolist() == [1_000_000] * 2 and table["mix.web"].tolist() == [0.75] * 2
    moved = {"step": 15, "mix.web": 0.5, "mix.code": 0.5}
    with pytest.raises(Refused, match="run 'a' has no mixture"):
        frame(log({"params": 1}, points=({**first, **mixture}, moved, *rest)))


def test_numbers_as_people_write_them_are_read() -> None:
    table = frame(log({"mix.web": "75%", "mix.code": "25 %", "params": "410M"}))
    assert table["mix.web"].tolist() == [0.75] * 2 and table["params"].tolist() == [410_000_000] * 2
    with pytest.raises(Refused, match=r"run 'a': mix.web is '0,75', not a number; write 0.75"):
        frame(log({"mix.web": "0,75", "mix.code": 0.25, "params": 1}))


def test_counts_that_may_be_in_millions_are_named_and_taken_as_they_stand() -> None:
    table = assemble(log({**SETTINGS, "params": 70}), Choices(rules=RULES, tokens_per_step=100.0))
    assert table.frame["params"].tolist() == [70, 70]
    assert [note for note in table.notes if "at most" in note] == [
        "params are 70 at most, taken as they stand: if they are in millions or billions, write them out"
    ]


def test_checkpoints_logged_as_runs_become_rows_of_one() -> None:
    runs = tuple(LoggedRun(f"a/step{step}", ({"eval/web": 3 - step / 1000},), {}) for step in (100, 200))
    given = {"a": {"mix.web": 1.0, "params": 1.0}}
    table = frame(Log("log", runs), pattern=parse_pattern("{run}/step{step}"), given=given)
    assert table[["run", "step", "tokens"]].to_numpy().tolist() == [["a", 100, 10_000], ["a", 200, 20_000]]


def test_a_loss_that_is_called_after_another_unit_is_named_and_taken_as_said() -> None:
    named = log(points=({"step": 10, "eval/web_bpb": 0.75},))
    table = assemble(named, Choices(rules=RULES, tokens_per_step=100.0))
    assert table.losses.tolist() == [[0.75]]
    assert any("'eval/web_bpb' is taken as nats, as is every loss; --unit bits-per-byte" in n for n in table.notes)
    converted = assemble(named, Choices(rules=RULES, tokens_per_step=100.0, unit=LossUnit.BITS_PER_BYTE))
    assert not any("is taken as" in note for note in converted.notes)


def test_a_setting_that_is_called_like_a_loss_is_none() -> None:
    table = frame(log({**SETTINGS, "eval/books": 2.0}))
    assert not table.get("loss.books", pd.Series(dtype=float)).notna().any()


def test_tokens_logged_between_the_losses_are_taken_only_when_said() -> None:
    points = (
        {"step": 0, "eval/web": 9.0},
        {"step": 1, "tokens": 1000},
        {"step": 2, "eval/web": 2.5},
        {"step": 3, "tokens": 2000},
        {"step": 4, "eval/web": 2.25},
    )
    with pytest.raises(Refused, match=r"'tokens' is logged, but not where the losses are: --last-tokens"):
        frame(log(points=points), tokens_per_step=None)
    table = assemble(log(points=points), Choices(rules=RULES, last_tokens=True))
    assert table.frame["tokens"].tolist() == [1000, 2000] and table.frame["loss.web"].tolist() == [2.5, 2.25]
    assert "1 point from before training (0 tokens) left out" in table.notes


@pytest.mark.parametrize("name", ["params", "tokens", "tokens_per_step", "bytes_per_token"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_numbers_that_must_be_positive_are(name: str, value: float) -> None:
    with pytest.raises(Refused, match="must be a positive number"):
        Choices(**{name: value})  # type: ignore[arg-type]
