"""A csv that is not what it claims to be is refused with what it is, before any cell lands in another's column."""

import re
from pathlib import Path

import pandas as pd
import pytest

from mixlaw.csv_files import read_csv
from mixlaw.errors import Refused
from mixlaw.mixture import read_mixtures
from mixlaw.runs import read_runs

COMMAS = "run,params,tokens,mix.web,mix.code,loss.web\na,1000,2000,0.5,0.5,2.5\nb,1000,2000,0.25,0.75,2.6\n"


@pytest.mark.parametrize(("separator", "called"), [("\t", "tabs"), ("|", "bars")])
def test_another_separator_is_named_with_a_command_that_converts_it_and_keeps_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separator: str, called: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs.csv").write_text(COMMAS.replace(",", separator))
    with pytest.raises(Refused, match=f"runs.csv has {called} between its columns") as refused:
        read_runs("runs.csv")
    command = str(refused.value).split("in Python: ")[1]
    eval(command, {"pandas": pd})
    assert len(read_runs("runs-commas.csv")) == 2
    assert Path("runs.csv").read_text() == COMMAS.replace(",", separator)


@pytest.mark.parametrize("point", [",", "."])
def test_a_run_table_from_a_spreadsheet_holds_the_same_runs_and_says_how_it_was_read(
    tmp_path: Path, point: str
) -> None:
    (tmp_path / "commas.csv").write_text(COMMAS)
    (tmp_path / "runs.csv").write_text(re.sub(r"(?<=\d)\.(?=\d)", point, COMMAS.replace(",", ";")))
    found = read_runs(tmp_path / "runs.csv")
    assert found.frame.equals(read_runs(tmp_path / "commas.csv").frame)
    assert "semicolons" in found.notes[0]
    assert not read_runs(tmp_path / "commas.csv").notes


def test_a_header_that_both_commas_and_semicolons_cut_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "mixtures.csv").write_text("name;web;code, new\nfirst;0.5;0.5\n")
    with pytest.raises(Refused, match="has semicolons between its columns"):
        read_mixtures(tmp_path / "mixtures.csv")


def test_a_mixture_from_a_spreadsheet_has_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "mixtures.csv").write_text("\ufeffname;web;code\r\n1,5;0,5;0,5\r\n", encoding="utf-8")
    assert read_mixtures(tmp_path / "mixtures.csv")["1,5"].as_dict() == {"web": 0.5, "code": 0.5}


def test_commas_are_commas_though_a_name_holds_a_semicolon(tmp_path: Path) -> None:
    (tmp_path / "mixtures.csv").write_text('name,"web; new",code\nfirst,0.5,0.5\n')
    assert read_mixtures(tmp_path / "mixtures.csv")["first"].as_dict() == {"web; new": 0.5, "code": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (COMMAS.replace("2.6\n", "2.6,9\n"), "line 3 has 7 cells, the header has 6"),
        (COMMAS.replace(",0.75,2.6\n", ""), "line 3 has 4 cells, the header has 6.*cut off"),
        (COMMAS.replace("2.5\n", "2.5,\n").replace("2.6\n", "2.6,\n"), "line 2 has 7 cells"),
        (COMMAS.replace("loss.web", "run"), "column 'run' appears twice, as 1 and 6"),
    ],
    ids=["long", "short", "all long", "twice"],
)
def test_no_cell_is_read_into_another_column(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "runs.csv").write_text(content)
    with pytest.raises(Refused, match=message):
        read_csv(tmp_path / "runs.csv")


def test_blank_lines_and_quoted_line_ends_are_no_rows_of_another_length(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(COMMAS.replace("a,", '"a\nb",') + "\n\n")
    assert len(read_csv(tmp_path / "runs.csv")) == 2
