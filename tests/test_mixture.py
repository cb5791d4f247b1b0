"""Mixtures: what is accepted, what is refused, and that rounding keeps the simplex."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.errors import Refused
from mixlaw.mixture import Mixture, groups_of, mixtures_of, read_mixture, read_mixtures, write_mixtures

shares = st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(lambda values: sum(values) > 0)


@given(shares, st.integers(2, 6))
def test_a_rounded_mixture_sums_to_one_and_moves_less_than_a_unit(values: list[float], decimals: int) -> None:
    mixture = Mixture.natural({f"d{index}": value for index, value in enumerate(values)})
    rounded = mixture.rounded(decimals)
    units = np.array(rounded.proportions) * 10**decimals
    assert round(sum(units)) == 10**decimals
    assert np.abs(units - np.round(units)).max() < 1e-6
    assert np.abs(np.array(rounded.proportions) - mixture.proportions).max() < 1.0001 * 10**-decimals


def test_a_sum_within_rounding_is_divided_out_and_one_beyond_is_refused() -> None:
    assert sum(Mixture.of({"a": 0.5, "b": 0.496}).proportions) == pytest.approx(1, abs=1e-15)
    with pytest.raises(Refused, match=r"sum to 1\.02, not 1"):
        Mixture.of({"a": 0.52, "b": 0.5})
    with pytest.raises(Refused, match="percentages"):
        Mixture.of({"a": 52, "b": 48})


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), True, "0.5", None])
def test_a_proportion_that_is_not_a_number_of_at_least_zero_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(Refused, match="'code'"):
        Mixture.of({"web": 0.5, "code": wrong})  # type: ignore[dict-item]


def test_an_unknown_domain_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Refused, match="did you mean 'github'"):
        Mixture.of({"gihub": 1.0}).aligned(["github", "web"])


def test_alignment_follows_the_names_not_the_positions() -> None:
    assert Mixture.of({"b": 0.75, "a": 0.25}).aligned(["a", "b", "c"]).tolist() == [0.25, 0.75, 0.0]


def test_epochs_are_proportion_times_budget_over_available() -> None:
    mixture = Mixture.of({"web": 0.75, "code": 0.25, "law": 0.0})
    assert mixture.epochs(1000, {"web": 1500, "code": 50}) == {"web": 0.5, "code": 5.0, "law": 0.0}
    with pytest.raises(Refused, match="'code', which has no available tokens"):
        mixture.epochs(1000, {"web": 1500})


def test_mixtures_read_back_to_the_same_bits(tmp_path: Path) -> None:
    mixtures = {"m1": Mixture.of({"web": 1 / 3, "code": 2 / 3}), "m2": Mixture.uniform(["web", "code"])}
    write_mixtures(tmp_path / "m.csv", mixtures)
    assert read_mixtures(tmp_path / "m.csv") == mixtures


def test_columns_may_carry_the_prefix_of_the_run_table_and_names_may_be_absent(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("mix.web,mix.code\n0.5,0.5\n1,0\n")
    assert read_mixtures(tmp_path / "m.csv")["2"].as_dict() == {"web": 1.0, "code": 0.0}


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("name,web,code\nfirst,0.5,0.5\nsecond,0.9,0.2\n")
    with pytest.raises(Refused, match=r"m\.csv: row 2 \('second'\).*sum to 1\.1"):
        read_mixtures(tmp_path / "m.csv")


def test_an_optimum_file_is_a_mixture_file_too(tmp_path: Path) -> None:
    (tmp_path / "optimum.json").write_text(json.dumps({"mixture": {"web": 0.25, "code": 0.75}, "loss": 2.0}))
    assert read_mixture(tmp_path / "optimum.json").as_dict() == {"web": 0.25, "code": 0.75}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"web": NaN}', '{"web": 0.5, "web": 0.5}', '{"web": "half"}', "{"])
def test_a_broken_mixture_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(Refused, match=r"m\.json"):
        read_mixture(tmp_path / "m.json")


def test_repeats_whose_realised_proportions_differ_a_little_are_one_mixture() -> None:
    generator = np.random.default_rng(0)
    meant = generator.dirichlet(np.full(5, 0.5), 50)
    realised = meant + 1e-4 * generator.standard_normal(meant.shape)
    rows = np.vstack([meant, realised])
    groups = groups_of(rows)
    np.testing.assert_array_equal(groups[:50], groups[50:])
    assert len(set(groups)) == 50
    order = generator.permutation(100)
    np.testing.assert_array_equal(groups_of(rows[order]), groups[order])


@pytest.mark.parametrize("count", range(2, 40))
def test_a_mixture_reads_back_to_the_last_bit(count: int, tmp_path: Path) -> None:
    domains = [f"d{number}" for number in range(count)]
    shares = dict.fromkeys(domains, 1.0) | {"d0": np.pi}
    written = {"uniform": Mixture.uniform(domains), "natural": Mixture.natural(shares)}
    write_mixtures(tmp_path / "m.csv", written)
    assert read_mixtures(tmp_path / "m.csv") == written
    assert Mixture.of(written["natural"].as_dict()) == written["natural"]


def test_proportions_that_sum_to_a_hair_more_than_1_are_rounded_to_a_sum_of_1() -> None:
    above = Mixture(("a", "b", "c"), (0.5 + 3e-7, 0.25 + 3e-7, 0.25 + 3e-7))
    for decimals in (7, 9, 15):
        rounded = np.array(above.rounded(decimals).proportions)
        assert rounded.sum() == pytest.approx(1, abs=1e-15)
        assert rounded == pytest.approx(np.array(above.proportions) / 1.0000009, abs=1.01 * 10.0**-decimals)


def test_a_mixture_file_is_one_candidate_called_as_the_file(tmp_path: Path) -> None:
    (tmp_path / "natural.json").write_text('{"web": 0.75, "code": 0.25}')
    (found,) = read_mixtures(tmp_path / "natural.json").items()
    assert found[0] == "natural" and found[1].as_dict() == {"code": 0.25, "web": 0.75}


def test_mixtures_are_taken_in_whatever_a_caller_has_them_in() -> None:
    web, code = Mixture.of({"web": 1.0}), Mixture.of({"web": 0.25, "code": 0.75})
    array = np.array([[0.0, 1.0], [0.75, 0.25]])
    frame = pd.DataFrame({"name": ["a", "b"], "mix.web": [1.0, 0.25], "mix.code": [0.0, 0.75]})
    expected = [[0.0, 1.0], [0.75, 0.25]]
    for held in (
        [web, code],
        {"x": web, "y": code},
        {"x": {"web": 1}, "y": {"web": np.float32(0.25), "code": 0.75}},
        array,
        array.tolist(),
        [*array],
        frame,
        frame.drop(columns="name"),
    ):
        found = mixtures_of(held, ("code", "web"))  # type: ignore[arg-type]
        assert [mixture.aligned(("code", "web")).tolist() for mixture in found.values()] == expected
        assert list(found) == (["x", "y"] if isinstance(held, dict) else ["a", "b"] if held is frame else ["1", "2"])
    for one in (code, code.as_dict(), array[1], array[1].tolist(), (0.75, 0.25)):
        assert mixtures_of(one, ("code", "web"))["1"].aligned(("code", "web")).tolist() == [0.75, 0.25]


def test_what_is_no_mixture_is_named() -> None:
    with pytest.raises(Refused, match=r"mixture '2': the proportions of web sum to 0\.5"):
        mixtures_of([{"web": 1.0}, {"web": 0.5}], ("code", "web"))
    with pytest.raises(Refused, match="mixture '1': 3 proportions for 2 domains; give one each of code, web"):
        mixtures_of(np.array([0.2, 0.3, 0.5]), ("code", "web"))
    with pytest.raises(Refused, match="no mixture in it"):
        mixtures_of(pd.DataFrame(columns=["web"]), ("code", "web"))
