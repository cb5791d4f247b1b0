"""Published losses of sizes and tokens, without mixtures, are read and said to be that."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.errors import Refused
from mixlaw.loss_points import are_loss_points, loss_points
from mixlaw.run_files import read_table

POINTS = "params,flop,loss\n1e6,6e15,3.5\n2e6,6e16,\n"


def check(path: Path, content: str, *flags: str) -> str:
    path.write_text(content)
    answer = CliRunner().invoke(app, ["check", str(path), *flags], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer.output


def test_points_are_surveyed_and_said_to_have_no_mixtures(tmp_path: Path) -> None:
    said = check(tmp_path / "points.csv", POINTS)
    assert "2 loss points" in said and "1M to 2M params" in said
    assert "1B to 5B tokens, taken as flop / (6 params)" in said and "loss: 1 measured" in said
    assert "no mixtures: mixlaw fit needs" in said and "Next: mixlaw.surfaces.chinchilla.fit_published" in said


def test_points_are_printed_for_programs_with_null_for_what_was_not_measured(tmp_path: Path) -> None:
    found = json.loads(check(tmp_path / "points.csv", POINTS, "--json"))
    assert found["tokens"] == [1e9, 5e9] and found["losses"] == {"loss": [3.5, None]}


def test_tokens_that_are_given_are_not_worked_out(tmp_path: Path) -> None:
    said = check(tmp_path / "points.csv", "params,tokens,flops,loss.web\n1e6,3e9,6e15,3.5\n")
    assert "3B to 3B tokens\n" in said and "loss.web: 1 measured" in said


@pytest.mark.parametrize("header", ["run,params,flop,loss", "params,flop,mix.web,loss", "params,loss", "flop,loss"])
def test_a_run_table_that_lacks_something_is_not_taken_for_points(tmp_path: Path, header: str) -> None:
    (tmp_path / "runs.csv").write_text(f"{header}\n{','.join('1' * len(header.split(',')))}\n")
    assert not are_loss_points(read_table(tmp_path / "runs.csv"))


def test_a_point_without_size_is_refused_by_its_row(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(POINTS.replace("2e6", "-2"))
    with pytest.raises(Refused, match="row 2, column 'params' is -2; it must be positive"):
        loss_points(read_table(tmp_path / "points.csv"), "points.csv")


def test_every_published_table_is_read_by_check_in_one_screen(reference: Path) -> None:
    for path in sorted(reference.glob("*.csv")):
        answer = CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
        assert answer.exit_code == 0 and len(answer.output.splitlines()) <= 45, path
