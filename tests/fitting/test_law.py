"""A law says what it was asked, remembers its evidence, and its file does not pass when it was changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.compare import compare
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import COLUMNS, Law
from mixlaw.fitting.law_file import read_law, write_law
from mixlaw.mixture import Mixture
from mixlaw.runs import TOTAL, check_runs

Planted = Callable[..., pd.DataFrame]
MIXTURES = {
    "code first": Mixture.of({"web": 0.2, "code": 0.6, "books": 0.2}),
    "web first": Mixture.of({"web": 0.6, "code": 0.2, "books": 0.2}),
}


@pytest.fixture
def law(planted: Planted) -> Law:
    return fit(check_runs(planted(runs=24, noise=0.02), source="runs.csv", digest="ab" * 32), law="exponential")


@pytest.fixture
def written(law: Law, tmp_path: Path) -> Path:
    write_law(law, tmp_path / "law.json")
    return tmp_path / "law.json"


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_predictions_have_the_contracted_columns_and_a_weighted_total(law: Law) -> None:
    found = law.predict(MIXTURES, weights={"code": 3, "web": 1})
    assert tuple(found.columns) == COLUMNS
    assert list(found["mixture"]) == ["code first"] * 3 + ["web first"] * 3
    assert list(found["target"]) == ["code", "web", TOTAL] * 2
    for _, rows in found.groupby("mixture"):
        losses = rows.set_index("target")["loss"]
        assert losses[TOTAL] == pytest.approx(0.75 * losses["code"] + 0.25 * losses["web"], rel=1e-14)
    assert (found["low"] < found["loss"]).all() and (found["loss"] < found["high"]).all()
    assert (found["params"] == 1_000_000).all() and (found["tokens"] == 10_000_000).all()
    numbered = law.predict(list(MIXTURES.values()))
    assert list(numbered["mixture"].unique()) == ["1", "2"]


def test_a_wider_interval_holds_more(law: Law) -> None:
    narrow, wide = law.predict(MIXTURES, interval=0.5), law.predict(MIXTURES, interval=0.99)
    assert (wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])).all()
    for wrong in (0.0, 1.0, 90.0):
        with pytest.raises(Refused, match="between 0 and 1"):
            law.predict(MIXTURES, interval=wrong)


def test_a_domain_the_law_does_not_know_is_refused_with_the_nearest_it_knows(law: Law) -> None:
    with pytest.raises(Refused, match=r"no domain is called 'cod'; did you mean 'code'"):
        law.predict([Mixture.of({"cod": 0.5, "web": 0.5})])
    with pytest.raises(Refused, match="no target is called 'coed'"):
        law.predict(MIXTURES, weights={"coed": 1.0})
    with pytest.raises(Refused, match="at least one"):
        law.predict([])


def test_a_law_of_one_scale_refuses_another_and_accepts_its_own(law: Law) -> None:
    assert law.at(params=1_000_000, tokens=10_000_000).params == 1_000_000
    with pytest.raises(Refused, match=r"one scale, 1M params and 10M tokens, and was asked for tokens 1B"):
        law.predict(MIXTURES, tokens=1e9)
    chosen = law.for_choosing(tokens=1e9)
    assert chosen.tokens == 10_000_000 and "taken on trust" in chosen.warnings[-1]


def test_a_law_of_one_size_chooses_for_another_by_its_own_but_predicts_no_loss_there(planted: Planted) -> None:
    scales = ((1_000_000, 10_000_000), (1_000_000, 20_000_000), (1_000_000, 40_000_000))
    law = fit(check_runs(planted(runs=20, noise=0.01, scales=scales)), scale="pooled")
    chosen = law.for_choosing(params=1e9, tokens=8e7)
    assert (chosen.params, chosen.tokens) == (1_000_000, 8e7)
    assert "one size: losses are those of 1M params" in chosen.warnings[-1]
    assert law.for_choosing(params=1e6, tokens=8e7).warnings == law.at(1e6, 8e7).warnings
    with pytest.raises(Refused, match="one size"):
        law.predict(MIXTURES, params=1e9)
    with pytest.raises(Refused, match="must be a positive number"):
        law.for_choosing(params=-1.0)


def test_predictions_beyond_the_runs_say_so(law: Law) -> None:
    inside = law.predict({"mean": Mixture(law.domains, tuple(law.evidence.mixtures.mean(axis=0)))})
    assert inside.attrs["warnings"] == ()
    outside = law.predict({"all code": Mixture.of({"code": 1.0})})
    assert "outside the hull of the runs ('all code')" in outside.attrs["warnings"][0]


def test_a_black_box_says_that_its_intervals_are_the_same_everywhere(planted: Planted, tmp_path: Path) -> None:
    law = fit(check_runs(planted(runs=24, noise=0.02)), law="gaussian-process")
    found = law.predict(MIXTURES)
    assert any("gaussian-process law are as wide far from the runs" in warning for warning in found.attrs["warnings"])
    widths = (found["high"] - found["low"]).to_numpy().reshape(2, 3)
    np.testing.assert_allclose(widths[0], widths[1], rtol=1e-9)
    write_law(law, tmp_path / "law.json")
    np.testing.assert_allclose(read_law(tmp_path / "law.json").predict(MIXTURES)["loss"], found["loss"], rtol=1e-12)


def test_a_law_read_back_predicts_the_same(law: Law, written: Path) -> None:
    again = read_law(written)
    assert (again.kind, again.scale, again.domains, again.targets) == (law.kind, law.scale, law.domains, law.targets)
    assert again.evidence == law.evidence and again.diagnostics == law.diagnostics
    before, after = law.predict(MIXTURES), again.predict(MIXTURES)
    np.testing.assert_array_equal(before["loss"], after["loss"])
    np.testing.assert_allclose(before["high"], after["high"], rtol=1e-9)
    copy = written.with_name("copy.json")
    write_law(again, copy)
    assert copy.read_bytes() == written.read_bytes()


def test_the_file_keeps_the_contract_and_no_matrix(written: Path) -> None:
    content = json.loads(written.read_text())
    assert {"kind", "domains", "targets", "parameters", "evidence", "diagnostics", "version"} <= content.keys()
    assert content["evidence"]["runs"] == 24 and content["evidence"]["rows"] == 24
    assert content["evidence"]["sha256"] == "ab" * 32 and content["evidence"]["source"] == "runs.csv"
    assert list(content) == sorted(content)
    assert written.stat().st_size < 40_000


def broken_parameter(content: dict[str, Any]) -> None:
    content["parameters"]["fitted"]["irreducible"][0] += 0.05


def broken_loss(content: dict[str, Any]) -> None:
    content["parameters"]["losses"][3][1] += 0.5


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a parameter": (broken_parameter, r"target 'code'.*are not those its measured losses give"),
    "a parameter out of range": (
        lambda c: c["parameters"]["fitted"]["exponents"][0].__setitem__(0, 1e4),
        r"target 'code'.*are not those its measured losses give",
    ),
    "a loss": (broken_loss, r"target 'web'.*are not those its measured losses give"),
    "no kind": (lambda c: c.pop("kind"), "is not a law"),
    "no targets": (lambda c: c.pop("targets"), "'targets' is missing: run mixlaw fit again"),
    "one target less": (lambda c: c["targets"].pop(), "law.json: "),
    "no parameters": (lambda c: c["parameters"].clear(), "'law' is missing"),
    "an unknown law": (lambda c: c["parameters"].update(law="exponentail"), "exponentail"),
    "an unknown scale": (lambda c: c.update(scale="nesetd"), "did you mean 'nested'"),
    "a newer version": (lambda c: c.update(version="99.0.1"), "written by mixlaw 99.0.1, newer than this one"),
    "no version number": (lambda c: c.update(version="new"), "not one of mixlaw"),
    "a word for a number": (lambda c: c["evidence"].update(rows="many"), "evidence.rows"),
    "an unknown key": (lambda c: c.update(kinds="linear"), "'kinds' means nothing here: run mixlaw fit again"),
    "a domain twice": (lambda c: c["domains"].__setitem__(0, c["domains"][1]), "is named twice"),
    "a mixture of more than 1": (
        lambda c: c["evidence"]["proportions"][0].__setitem__(0, 9.0),
        "in the evidence sum to .*, not 1",
    ),
    "no name of a law": (lambda c: c.update(asked={"law": 3}), "asked.law"),
    "a run less": (lambda c: c["evidence"]["names"].pop(), "evidence.names holds 23 of 24"),
    "ragged evidence": (lambda c: c["evidence"]["proportions"][0].pop(), "has not 3 proportions"),
    "a null proportion": (lambda c: c["parameters"]["proportions"].__setitem__(0, [None] * 3), "law.json"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_was_changed_is_refused_by_name_and_place(what: str, written: Path) -> None:
    change, said = BROKEN[what]
    with pytest.raises(Refused, match=said) as refusal:
        read_law(changed(written, change))
    assert "law.json" in str(refusal.value)


def test_comparing_counts_the_same_losses_and_prefers_the_lower(law: Law) -> None:
    found = compare(law, *MIXTURES.values())
    predicted = law.predict(MIXTURES)["loss"].to_numpy().reshape(2, 3)
    np.testing.assert_allclose([[row.first, row.second] for row in (*found.targets, found.total)], predicted.T)
    for row in (*found.targets, found.total):
        assert (row.probability > 0.5) == (row.first < row.second)
    assert found.targets[0].probability > 0.99
    back = compare(law, *reversed(MIXTURES.values()))
    assert back.total.probability == pytest.approx(1 - found.total.probability)
