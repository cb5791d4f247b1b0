"""The run table: what it reads, what it refuses, and that every refusal names the place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.runs import check_runs, read_runs, write_runs

Planted = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_run_table_reads_back_to_the_same_bits(tmp_path: Path, planted: Planted, suffix: str) -> None:
    frame = planted(runs=5)
    frame.loc[2, "loss.code"] = np.nan
    write_runs(check_runs(frame), tmp_path / f"runs{suffix}")
    table = read_runs(tmp_path / f"runs{suffix}")
    assert set(table.domains) == {"web", "code", "books"} and set(table.targets) == {"web", "code"}
    pd.testing.assert_frame_equal(table.frame, check_runs(frame).frame, check_exact=True, check_like=True)


REFUSALS = {
    "sum": (lambda f: f.assign(**{"mix.web": f["mix.web"] + 0.0199}), r"row 1.*sum to 1\.0199, not 1.*--renormalise"),
    "percent": (lambda f: f.assign(**{c: f[c] * 100 for c in f if c.startswith("mix.")}), "percentages"),
    "negative": (lambda f: f.assign(**{"mix.web": -f["mix.web"]}), r"row 1.*'mix\.web'.*at least 0"),
    "text": (
        lambda f: f.astype(object).assign(**{"loss.web": ["1,234.5"] * len(f)}),
        r"row 1, column 'loss\.web': '1,234\.5'",
    ),
    "infinite": (lambda f: f.assign(**{"loss.code": np.inf}), r"row 1, column 'loss\.code'.*not finite"),
    "zero loss": (lambda f: f.assign(**{"loss.code": 0.0}), r"'loss\.code' is 0.*positive"),
    "blank tokens": (lambda f: f.assign(tokens=[np.nan, *f["tokens"][1:]]), "row 1, column 'tokens' is blank"),
    "no tokens": (lambda f: f.drop(columns="tokens"), "no column tokens"),
    "no mixture": (lambda f: f.rename(columns=lambda c: c.replace("mix.", "mix_")), r"no column mix\.<domain>"),
    "no rows": (lambda f: f.iloc[:0], "no rows"),
    "negative params": (lambda f: f.assign(params=-1), "'params' is -1"),
    "conflict": (lambda f: pd.concat([f, f.assign(**{"loss.web": 2.0})]), "rows 1, 5 are both run '1000000-0'"),
    "moving mixture": (lambda f: f.assign(run="one", tokens=range(1, 5)), "run 'one' has column 'mix.web' between"),
    "no name": (lambda f: f.rename(columns={"mix.web": "mix."}), r"column 'mix\.' names nothing after its dot"),
    "reserved": (
        lambda f: f.rename(columns={"loss.web": "loss.(weighted)"}),
        r"'\(weighted\)' is what predict",
    ),
    "repeated column": (lambda f: pd.concat([f, f[["run"]]], axis=1), "column 'run' appears twice"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_right_is_refused_with_its_place(planted: Planted, name: str) -> None:
    spoil, message = REFUSALS[name]
    with pytest.raises(Refused, match=message):
        check_runs(spoil(planted(runs=4)))


def test_rounded_proportions_are_rescaled_and_said(planted: Planted) -> None:
    frame = planted(runs=4)
    frame["mix.web"] += 0.001
    table = check_runs(frame)
    assert any("divided by their sum" in note for note in table.notes)
    assert np.abs(table.proportions.sum(axis=1) - 1).max() < 1e-12


def test_renormalising_is_done_only_when_asked(planted: Planted) -> None:
    frame = planted(runs=4)
    frame["mix.web"] += 0.0199
    assert np.abs(check_runs(frame, renormalise=True).proportions.sum(axis=1) - 1).max() < 1e-12


def test_rows_that_repeat_exactly_are_dropped_and_said(planted: Planted) -> None:
    frame = planted(runs=4)
    table = check_runs(pd.concat([frame, frame]))
    assert len(table) == 4 and "repeat" in table.notes[0]


def test_a_mixture_is_one_group_whatever_the_run(planted: Planted) -> None:
    frame = planted(runs=3, scales=((10, 20), (30, 40)))
    groups = check_runs(frame).mixtures
    assert groups[0] == groups[1] != groups[2] and len(set(groups)) == 3


def test_the_last_checkpoint_is_that_with_most_tokens(planted: Planted) -> None:
    frame = planted(runs=2)
    early = frame.assign(tokens=5.0)
    assert check_runs(pd.concat([frame, early])).last().tokens.tolist() == frame["tokens"].tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("runs.csv", b"", "empty"),
        ("runs.csv", b"\x00\xff\xfe\x80", "runs.csv"),
        ("runs.csv", b"a,b\n1,2,3\n4,5,6,7\n", "runs.csv"),
        ("runs.txt", b"x", r"\.csv, \.parquet, \.jsonl"),
        ("runs.jsonl", b'{"run": "a"}\n{"run": \n', "line 2 is not JSON"),
        ("runs.jsonl", b"[1]\n", "line 1 is not an object"),
        ("runs.parquet", b"PAR1 not really", "not a parquet table"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused, match=message):
        read_runs(tmp_path / name)


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path, planted: Planted) -> None:
    with pytest.raises(Refused, match=r"\.csv, \.parquet, \.jsonl"):
        write_runs(check_runs(planted()), tmp_path / "runs.xlsx")
    assert not list(tmp_path.iterdir())


PUBLISHED = {
    "redpajama": (1161, 107, 7, 22),
    "regmix_train_1m": (512, 512, 17, 13),
    "regmix_test_1m": (256, 256, 17, 13),
    "slimpajama_small": (1748, 160, 7, 8),
    "three_domains": (1088, 41, 3, 3),
    "two_domains": (110, 10, 2, 2),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_run_tables_are_read_whole(reference: Path, name: str) -> None:
    table = read_runs(reference / f"{name}.csv")
    shape = (len(table), len(set(table.runs)), len(table.domains), len(table.targets))
    assert shape == PUBLISHED[name]


def test_blanks_are_blank_however_they_are_spelt_and_other_words_are_refused() -> None:
    words = ["", " ", "NaN", "None", "null", "NA", "n/a", None]
    frame = pd.DataFrame({"run": [f"r{n}" for n in range(8)], "params": 1, "tokens": 1, "mix.a": 1.0, "loss.x": words})
    assert np.isnan(check_runs(frame).losses).all()
    with pytest.raises(Refused, match=r"row 3, column 'loss.x': 'none at all' is not a number"):
        check_runs(frame.assign(**{"loss.x": ["2.5", "", "none at all", *words[3:]]}))
