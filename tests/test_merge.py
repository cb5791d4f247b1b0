"""Runs stay useful when domains are split, merged, renamed or added."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.laws.exponential import Exponential
from mixlaw.merge import joined, read_columns, with_domains, without_domain
from mixlaw.runs import RunTable, check_runs


def table(mixes: dict[str, list[float]], losses: dict[str, list[float]], prefix: str = "r", **more: list) -> RunTable:
    count = len(next(iter(mixes.values())))
    frame = pd.DataFrame(
        {"run": [f"{prefix}{number}" for number in range(count)], "params": 1e6, "tokens": 1e7}
        | {f"mix.{name}": values for name, values in mixes.items()}
        | {f"loss.{name}": values for name, values in losses.items()}
        | more
    )
    return check_runs(frame, source=f"{prefix}.csv")


OLD = table({"web": [0.2, 0.6, 1.0], "code": [0.8, 0.4, 0.0]}, {"q": [2.0, 2.1, 2.4]}, "old")


def test_a_split_domain_was_its_parts_in_their_shares() -> None:
    found = with_domains(OLD, {"code": {"python": 0.75, "cpp": 0.25}})
    assert found.domains == ("web", "python", "cpp")
    assert found.proportions == pytest.approx(np.array([[0.2, 0.6, 0.2], [0.6, 0.3, 0.1], [1, 0, 0]]))
    assert (found.losses == OLD.losses).all() and not found.notes


def test_a_law_learns_as_much_of_split_domains_from_joined_runs_as_if_all_had_been_one_study() -> None:
    random = np.random.default_rng(0)
    slope = np.array([-0.5, -1.5, -0.2])  # web, python, cpp

    def loss(mixtures: np.ndarray) -> list[float]:
        return (1.5 + np.exp(mixtures @ slope)).tolist()

    coarse = random.dirichlet([1, 1], 10)
    before = np.column_stack([coarse[:, 0], 0.75 * coarse[:, 1], 0.25 * coarse[:, 1]])
    after = random.dirichlet([1, 1, 1], 10)
    old = table({"web": coarse[:, 0], "code": coarse[:, 1]}, {"q": loss(before)}, "old")
    new = table(dict(zip(("web", "python", "cpp"), after.T, strict=True)), {"q": loss(after)}, "new")
    both = joined([old, new], {"code": {"python": 0.75, "cpp": 0.25}})
    assert len(both) == 20 and both.domains == ("web", "python", "cpp")
    fitted = Exponential.fit(both.domains, both.targets, both.proportions, both.losses).law
    fresh = random.dirichlet([1, 1, 1], 50)
    assert np.abs(fitted.predict(fresh)[:, 0] - loss(fresh)).max() < 1e-3


def test_merged_domains_add_up_and_a_ratio_that_varied_is_said() -> None:
    fine = table({"web": [0.5, 0.2], "python": [0.3, 0.2], "cpp": [0.2, 0.6]}, {"q": [2.0, 2.1]})
    found = with_domains(fine, {"python": {"code": 1.0}, "cpp": {"code": 1.0}})
    assert found.proportions == pytest.approx(np.array([[0.5, 0.5], [0.2, 0.8]]))
    assert "'python' was between 0.25 and 0.60 of it" in found.notes[0]


def test_domains_merged_in_a_constant_ratio_lose_nothing_and_nothing_is_said() -> None:
    fine = with_domains(OLD, {"code": {"python": 0.75, "cpp": 0.25}})
    back = with_domains(fine, {"python": {"code": 1.0}, "cpp": {"code": 1.0}})
    assert back.proportions == pytest.approx(OLD.proportions) and not back.notes


def test_an_added_domain_was_at_zero_and_a_target_not_measured_stays_blank() -> None:
    new = table({"web": [0.5], "code": [0.3], "math": [0.2]}, {"q": [1.9], "sums": [3.0]}, "new")
    found = joined([OLD, new])
    assert found.domains == ("web", "code", "math") and found.proportions[:, 2].tolist() == [0, 0, 0, 0.2]
    assert np.isnan(found.losses[:3, 1]).all() and found.losses[3].tolist() == [1.9, 3.0]
    assert any("not measured in every study: sums" in note for note in found.notes)


def test_counts_stay_whole_when_tables_are_joined() -> None:
    new = table({"web": [0.5], "code": [0.5]}, {"q": [1.9]}, "new")
    assert {str(joined([OLD, new]).frame[name].dtype) for name in ("params", "tokens")} == {"int64"}


def test_runs_of_the_same_name_are_told_apart_by_their_files() -> None:
    again = table({"web": [0.5], "code": [0.5]}, {"q": [2.2]}, "old")
    assert list(joined([OLD, check_runs(again.frame, source="later.csv")]).runs) == [
        "old.old0",
        "old.old1",
        "old.old2",
        "later.old0",
    ]


def test_parts_of_a_split_domain_were_passed_over_as_often_as_the_whole() -> None:
    passes = {"epochs.web": [1.0, 2.0], "epochs.code": [3.0, 0.5]}
    runs = table({"web": [0.2, 0.6], "code": [0.8, 0.4]}, {"q": [2.0, 2.1]}, **passes)
    found = with_domains(runs, {"code": {"python": 0.5, "cpp": 0.5}}).frame
    assert found["epochs.python"].tolist() == found["epochs.cpp"].tolist() == [3.0, 0.5]
    assert "epochs.code" not in found and found["epochs.web"].tolist() == [1.0, 2.0]


def test_without_a_domain_only_runs_without_it_remain() -> None:
    runs = table({"web": [0.5, 0.6, 0.996], "code": [0.5, 0.2, 0.0], "spam": [0, 0.2, 0.004]}, {"q": [2.0, 2.1, 2.2]})
    found = without_domain(runs, "spam")
    assert found.domains == ("web", "code") and list(found.runs) == ["r0", "r2"]
    assert found.proportions == pytest.approx(np.array([[0.5, 0.5], [1, 0]]))
    assert "1 run with more than 0.005 of 'spam' left out" in found.notes


def test_a_domain_that_every_run_had_cannot_be_dropped() -> None:
    with pytest.raises(Refused, match="cap it at 0 in mixlaw optimize"):
        without_domain(OLD.where(OLD.proportions[:, 1] > 0), "code")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"code": {"python": 0.7, "cpp": 0.2}}, "'code': .* sum to 0.9, not 1"),
        ({"code": 3}, "'code' has become 3; give a name"),
        ({"code": ["python"]}, r"'code' has become \['python'\]; give a name"),
        ({"code": {"python": "most"}}, "must be a number"),
        ({}, "maps no domain"),
    ],
)
def test_a_map_that_says_nothing_clear_is_refused(tmp_path: Path, content: dict, said: str) -> None:
    (tmp_path / "map.json").write_text(json.dumps(content))
    with pytest.raises(Refused, match=said):
        read_columns(tmp_path / "map.json")


def test_a_map_of_an_unknown_domain_is_refused() -> None:
    with pytest.raises(Refused, match="did you mean 'code'"):
        joined([OLD], {"cod": {"python": 1.0}})


def test_studies_without_a_common_target_are_refused() -> None:
    with pytest.raises(Refused, match="share no target"):
        joined([OLD, table({"web": [1.0], "code": [0.0]}, {"other": [2.0]}, "new")])
