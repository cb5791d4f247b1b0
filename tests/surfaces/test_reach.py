"""How far a scale lies beyond the runs."""

from itertools import product

import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.runs import RunTable, check_runs
from mixlaw.surfaces.reach import Reach


def table(*scales: tuple[float, float]) -> RunTable:
    rows = [
        {
            "run": f"{params:g}-{number}",
            "params": params,
            "tokens": tokens,
            "mix.a": number / 2,
            "mix.b": 1 - number / 2,
        }
        | {"loss.x": 3.0 + 1e8 / tokens}
        for number, (params, tokens) in product(range(3), scales)
    ]
    return check_runs(pd.DataFrame(rows))


GRID = table(*product((1e6, 3e6, 1e7), (1e9, 2e9, 4e9)))


def test_sizes_within_a_percent_are_one() -> None:
    assert Reach.of(table((1e6, 1e9), (1.005e6, 2e9), (1e7, 1e9))).sizes == (1e6, 1e7)


def test_none_means_the_largest_size_and_the_most_tokens_measured_there() -> None:
    assert Reach.of(table((1e6, 8e9), (1e7, 2e9), (1e7, 1e9))).scale(None, None) == (1e7, 2e9)


def test_ratios_count_from_what_the_largest_runs_reached() -> None:
    reach = Reach.of(table((1e6, 8e9), (1e7, 2e9), (1e7, 1e9)))
    assert reach.ratios(1e7, 8e9) == (1.0, 1.0)
    assert reach.ratios(2e7, 8e9) == (2.0, 4.0)
    assert reach.ratios(1e6, 1e9) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("params", "tokens", "said"),
    [
        (4e7, 4e9, "4 times the largest size measured"),
        (1e7, 2e10, "5 times the most measured"),
        (1e5, 4e9, "below the smallest size measured"),
        (1e7, 1e8, "fewer than any measured"),
    ],
)
def test_scales_far_from_the_runs_are_said_to_be(params: float, tokens: float, said: str) -> None:
    assert any(said in warning for warning in Reach.of(GRID).warnings(params, tokens))
    assert Reach.of(GRID).warnings(1e7, 4e9) == ()


def test_two_sizes_leave_the_exponent_to_published_laws() -> None:
    reach = Reach.of(table(*product((1e6, 1e7), (1e9, 2e9, 4e9))))
    assert any("2 sizes do not show" in warning for warning in reach.warnings(2e7, 4e9))
    assert reach.warnings(1e7, 4e9) == ()


def test_sizes_that_come_with_tokens_of_their_own_are_said_to_be_confounded() -> None:
    line = Reach.of(table((1e6, 2e7), (1e7, 2e8), (1e8, 2e9)))
    assert any("grow together" in warning for warning in line.warnings(1e9, 2e10))
    assert Reach.of(GRID).apart


def test_a_scale_that_is_no_number_is_refused() -> None:
    with pytest.raises(Refused, match="params is nan"):
        Reach.of(GRID).scale(float("nan"), None)


def test_a_reach_survives_json() -> None:
    reach = Reach.of(GRID)
    assert Reach.from_parameters(reach.parameters()) == reach
