"""What the pages of Weights & Biases save as csv: charts, the table of runs, and both together."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log
from mixlaw.importers.assemble import assemble
from mixlaw.importers.choices import Choices
from mixlaw.importers.columns import parse_rule

MIXTURES = {"brisk-sun-1": 0.25, "calm - sea-2": 0.5, "dim-moon-3": 0.75}


def saved(path: Path, rows: Sequence[Sequence[object]]) -> str:
    """As the pages write it: every cell in quotes, those without a value empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return str(path)


def chart(folder: Path, metric: str, axis: str = "Step", spread: float = 0.0) -> str:
    header = [axis]
    for run in MIXTURES:
        header += [f"{run} - {metric}", f"{run} - {metric}__MIN", f"{run} - {metric}__MAX"]
    rows: list[list[object]] = []
    for step in (100, 200):
        values: list[float | str] = [2 + web - step / 1000 for web in MIXTURES.values()]
        values[2] = "" if step == 200 else values[2]
        row: list[object] = [step]
        for value in values:
            row += ["", "", ""] if isinstance(value, str) else [value, value - spread, value + spread]
        rows.append(row)
    return saved(folder / f"wandb_export_{metric.replace('/', '_')}.csv", [header, *rows])


def runs(folder: Path, names: Mapping[str, float] = MIXTURES, **more: Sequence[object]) -> str:
    header = ["Name", "State", "Notes", "Created", "mixture.web", "mixture.code", "model", "eval/web_loss", *more]
    rows = [
        [
            run,
            "crashed" if run.startswith("dim") else "finished",
            "",
            f"2026-11-0{place}T10:00:00.000Z",
            web,
            1 - web,
            '{"n_params": 1000000, "layers": 4}',
            1.5,
            *(column[place] for column in more.values()),
        ]
        for place, (run, web) in enumerate(names.items())
    ]
    return saved(folder / "wandb_export_runs.csv", [header, *rows])


RULES = tuple(map(parse_rule, ("loss.*=eval/*_loss", "mix.*=mixture.*", "params=model.n_params")))


def test_charts_and_the_table_of_runs_make_a_run_table(tmp_path: Path) -> None:
    sources = (chart(tmp_path, "eval/web_loss"), runs(tmp_path), chart(tmp_path, "eval/code_loss"))
    assert importer_of(sources).name == "wandb-csv"
    table = assemble(read_log(sources), Choices(rules=RULES, tokens_per_step=1000.0))
    assert table.frame["run"].tolist() == ["brisk-sun-1"] * 2 + ["calm - sea-2"] * 2
    assert table.frame["loss.web"].tolist() == pytest.approx([2.15, 2.05, 2.4, 2.3])
    assert table.frame["loss.code"].tolist() == table.frame["loss.web"].tolist()
    assert table.frame["mix.web"].tolist() == [0.25, 0.25, 0.5, 0.5] and set(table.frame["params"]) == {1_000_000}
    assert any("dim-moon-3 (crashed)" in note for note in table.notes)


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    sources = (chart(tmp_path, "eval/web_loss"), runs(tmp_path), chart(tmp_path, "eval/code_loss"))
    first, again = (assemble(read_log(s), Choices(rules=RULES, tokens_per_step=1.0)) for s in (sources, sources[::-1]))
    assert first.frame.equals(again.frame)


def test_a_folder_of_exports_is_the_exports_in_it(tmp_path: Path) -> None:
    sources = (chart(tmp_path, "eval/web_loss"), runs(tmp_path), chart(tmp_path, "eval/code_loss"))
    named = read_log(sources)
    (tmp_path / "own.csv").write_text("run,tokens\na,1\n")
    log = read_log((str(tmp_path),))
    assert {run.name: run for run in log.runs} == {run.name: run for run in named.runs}
    assert set(log.notes) == {*named.notes, "no export of W&B, left out: own.csv"}


def test_a_table_of_runs_alone_gives_the_last_values(tmp_path: Path) -> None:
    log = read_log((runs(tmp_path, _step=[100, 200, 300]),))
    table = assemble(log, Choices(rules=RULES, tokens_per_step=1000.0))
    assert table.frame["tokens"].tolist() == [100_000, 200_000] and table.frame["loss.web"].tolist() == [1.5, 1.5]
    assert any("the last values of each run" in note for note in log.notes)


def test_a_chart_alone_says_that_it_does_not_know_which_runs_crashed(tmp_path: Path) -> None:
    log = read_log((chart(tmp_path, "eval/web_loss", axis="tokens_seen"),))
    assert [run.name for run in log.runs] == list(MIXTURES)
    assert log.runs[0].points[0] == pytest.approx({"tokens_seen": 100, "eval/web_loss": 2.15})
    assert len(log.runs[2].points) == 1, "a blank cell was not measured"
    assert any("does not say which runs crashed" in note for note in log.notes)


def test_values_that_were_averaged_are_said_to_be(tmp_path: Path) -> None:
    log = read_log((chart(tmp_path, "eval/web_loss", spread=0.1),))
    assert any("5 values of several logged points or runs, which W&B has averaged" in note for note in log.notes)


def test_a_chart_with_text_for_a_number_is_refused_by_its_run(tmp_path: Path) -> None:
    rows = [["Step", "a - x", "a - x__MIN", "a - x__MAX"], [10, "2,5", "2,5", "2,5"]]
    log = read_log((saved(tmp_path / "x.csv", rows),))
    with pytest.raises(Refused, match=r"run 'a': loss.x is '2,5', not a number; write 2.5"):
        assemble(log, Choices(rules=(parse_rule("loss.x=x"),), tokens_per_step=1.0, params=1.0))


def test_runs_in_no_chart_are_named(tmp_path: Path) -> None:
    table = runs(tmp_path, {**MIXTURES, "late-4": 0.5})
    log = read_log((chart(tmp_path, "eval/web_loss"), table))
    assert "in no chart, which hold the runs that they show: late-4" in log.notes
    assert next(run for run in log.runs if run.name == "late-4").points == ()


def test_runs_of_one_name_are_told_apart_by_their_identifier(tmp_path: Path) -> None:
    header = ["Name", "State", "ID", "eval/web_loss"]
    rows = [header, ["a", "finished", "x1", 2.0], ["a", "failed", "x2", 3.0]]
    log = read_log((saved(tmp_path / "runs.csv", rows),))
    assert [(run.name, run.unfinished) for run in log.runs] == [("a-x1", ""), ("a-x2", "failed")]
    without = [[row[0], row[1], row[3]] for row in rows]
    with pytest.raises(Refused, match="several runs are called 'a'; export the column ID too"):
        read_log((saved(tmp_path / "runs.csv", without),))


def test_a_chart_whose_columns_name_no_run_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.csv", [["Step", "loss", "loss__MIN", "loss__MAX"], [1, 2, 2, 2]])
    with pytest.raises(Refused, match="column 'loss' names no run; W&B calls it 'RUN - loss'"):
        read_log((path,))


def test_a_table_of_other_states_is_no_export_of_runs(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.csv", [["Name", "State"], ["a", "Ohio"]])
    assert importer_of((path,)).name == "table"
    with pytest.raises(Refused, match="say which column names the run: --map run=Name"):
        read_log((path,))
