"""`mixlaw report` as people run it."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app, main
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law_file import write_law
from mixlaw.optimize.find import optimize
from mixlaw.optimize.optimum import write_optimum
from mixlaw.runs import check_runs

Planted = Callable[..., pd.DataFrame]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Planted) -> Path:
    monkeypatch.chdir(tmp_path)
    frame = planted(runs=14, noise=0.01)
    frame.to_csv("runs.csv", index=False)
    law = fit(check_runs(frame), "linear")
    write_law(law, "law.json")
    write_optimum(optimize(law), "optimum.json")
    Path("groups.json").write_text(json.dumps({"a": ["web"], "b": ["code"]}))
    Path("weights.json").write_text(json.dumps({"web": 1}))
    Path("notes.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "page"),
    [
        (["runs.csv", "--weights", "weights.json"], "runs.html"),
        (["law.json", "--optimum", "optimum.json", "--groups", "groups.json"], "law.html"),
        (["law.json", "-o", "deep/page.html"], "deep/page.html"),
    ],
)
def test_a_law_and_a_run_table_each_make_a_page(folder: Path, words: list[str], page: str) -> None:
    answer = CliRunner().invoke(app, ["report", *words], catch_exceptions=False)
    assert answer.exit_code == 0 and f"{page}: written" in answer.stdout
    text = re.sub("</?span>", "", (folder / page).read_text())
    assert text.startswith("<!doctype html>")
    asked = [word for word in words if word not in ("-o", page)]
    assert f"mixlaw report {' '.join(asked)}" in text and all(f"{word}, sha256" in text for word in asked[::2])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("report notes.txt", "is no study, law or run table"),
        ("report absent.csv", "absent.csv does not exist"),
        ("report optimum.json", "is not a law"),
        ("report runs.csv --optimum optimum.json", "--optimum says nothing about runs.csv"),
        ("report law.json --figure f.svg", "--figure says nothing about law.json"),
        ("report . --weights weights.json", "--weights says nothing about ."),
        ("report law.json --weights absent.json", "absent.json does not exist"),
    ],
)
def test_a_mistake_is_refused_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    before = sorted(folder.iterdir())
    monkeypatch.setattr(sys, "argv", ["mixlaw", *line.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1 and message in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before
