"""Points of a front are best for their weights, and the front is known as well as it says."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import LawAtScale
from mixlaw.limits import Limits
from mixlaw.optimize.pareto import Front, pareto, read_groups, write_front
from mixlaw.runs import check_runs

DOMAINS = ("books", "code", "web")


@pytest.fixture(scope="module")
def at() -> LawAtScale:
    """A law of three targets, each of which is helped by its own domain."""
    random = np.random.default_rng(0)
    mixtures = random.dirichlet(np.full(3, 0.8), 30)
    frame = pd.DataFrame(mixtures, columns=[f"mix.{name}" for name in DOMAINS])
    for number, name in enumerate(DOMAINS):
        frame[f"loss.{name}"] = 1.5 + np.exp(-2.0 * mixtures[:, number] + 0.1 * number)
    frame["run"], frame["params"], frame["tokens"] = frame.index.astype(str), 1_000_000, 10_000_000
    return fit(check_runs(frame), "exponential").at()


TWO = {"code": {"code": 1.0}, "prose": {"books": 1.0, "web": 1.0}}


def losses(front: Front) -> np.ndarray:
    return np.array([point.losses for point in front.points])


def test_one_group_gains_what_the_other_loses(at: LawAtScale) -> None:
    found = losses(pareto(at, TWO, Limits.simplex(DOMAINS)))
    assert (np.diff(found[:, 0]) > 0).all() and (np.diff(found[:, 1]) < 0).all()


def test_no_mixture_beats_a_point_in_every_group(at: LawAtScale) -> None:
    front = pareto(at, TWO, Limits.simplex(DOMAINS), points=9)
    others = np.random.default_rng(1).dirichlet(np.ones(3), 4000)
    weights = np.array([[0, 1, 0], [0.5, 0, 0.5]])
    drawn = at.law.predict(others) @ weights.T
    for point in front.points:
        assert not (drawn < point.losses - 1e-9).all(axis=1).any()
        assert (drawn @ point.weights >= point.weights @ point.losses - point.gap - 1e-12).all()
        assert point.gap <= 1e-8


def test_the_front_lies_below_its_chords_by_no_more_than_it_says(at: LawAtScale) -> None:
    few, many = (pareto(at, TWO, Limits.simplex(DOMAINS), points=points) for points in (4, 60))
    assert few.unknown is not None and many.unknown is not None and many.unknown < few.unknown
    chords = np.interp(losses(many)[:, 0], losses(few)[:, 0], losses(few)[:, 1])
    below = chords - losses(many)[:, 1]
    assert below.max() > 0.2 * few.unknown, "the bound is not vacuous"
    for left, right in zip(few.points[:-1], few.points[1:], strict=True):
        normal = np.array([left.losses[1] - right.losses[1], right.losses[0] - left.losses[0]])
        normal /= normal.sum()
        depth = (normal @ left.losses - losses(many) @ normal).max()
        assert depth <= few.unknown + 1e-9


def test_three_groups_start_from_each_ones_best(at: LawAtScale) -> None:
    groups = {name: {name: 1.0} for name in DOMAINS}
    front = pareto(at, groups, Limits.simplex(DOMAINS), points=10)
    assert len(front.points) == 10 and front.unknown is None
    assert {int(row.argmin()) for row in losses(front).T} == {0, 6, 9} or len(losses(front)) == 10
    for group in range(3):
        best = losses(front)[:, group].min()
        assert best == pytest.approx(
            at.law.predict(np.eye(3)[[group]])[0, list(at.law.targets).index(DOMAINS[group])], abs=2e-3
        )


def test_a_front_keeps_limits_and_loss_limits(at: LawAtScale) -> None:
    limits = Limits.of(DOMAINS, caps={"code": 0.3})
    front = pareto(at, TWO, limits, at_most={"books": 2.3}, points=7)
    for point in front.points:
        assert limits.allows(np.array(point.mixture.proportions), 1e-12)
        predicted = at.law.predict(np.array([point.mixture.proportions]))[0, at.law.targets.index("books")]
        assert predicted <= 2.3 + 1e-9


def test_the_compromise_is_near_every_groups_best(at: LawAtScale) -> None:
    front = pareto(at, TWO, Limits.simplex(DOMAINS), points=15)
    scaled = (losses(front) - losses(front).min(axis=0)) / np.ptp(losses(front), axis=0)
    assert (scaled[front.compromise] < 0.6).all()


def test_a_front_file_has_a_row_a_point(at: LawAtScale, tmp_path: Path) -> None:
    front = pareto(at, TWO, Limits.simplex(DOMAINS), points=5)
    write_front(front, tmp_path / "front.csv")
    table = pd.read_csv(tmp_path / "front.csv")
    assert list(table.columns) == [
        *("point", "weight.code", "weight.prose", "loss.code", "loss.prose", "gap"),
        *(f"mix.{name}" for name in DOMAINS),
    ]
    assert table["loss.code"].to_numpy() == pytest.approx(losses(front)[:, 0], rel=1e-15)


def test_groups_are_read_as_lists_or_weights(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"code": ["code"], "prose": {"books": 2, "web": 1}}))
    assert read_groups(path) == {"code": {"code": 1.0}, "prose": {"books": 2.0, "web": 1.0}}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"code": {"code": 1.0}}, "found 1, give at least two"),
        (
            {"code": {"code": 1.0}, "prose": {"book": 1.0}},
            "group 'prose': no target is called 'book'; did you mean 'books'",
        ),
        ({"code": {"code": 1.0}, "prose": {"books": 0.0}}, "group 'prose': every weight is 0"),
        ({"code": {"code": 1.0}, "prose": {"books": -1.0}}, "group 'prose': the weight of 'books' is -1"),
    ],
)
def test_groups_that_make_no_front_are_refused(
    at: LawAtScale, groups: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        pareto(at, groups, Limits.simplex(DOMAINS))


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"code": []}', '{"code": "code"}', '{"code": {"code": "1"}}', '{"code": ["code", "code"]}']
)
def test_a_broken_file_of_groups_is_refused(at: LawAtScale, tmp_path: Path, content: str) -> None:
    path = tmp_path / "groups.json"
    path.write_text(content)
    with pytest.raises(Refused):
        pareto(at, read_groups(path), Limits.simplex(DOMAINS))
