"""What a user gets wrong ends with exit code 1, one message that helps, and no half-written file."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.cli.app import main
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law_file import read_law, write_law
from mixlaw.mixture import Mixture
from mixlaw.optimize.find import optimize
from mixlaw.optimize.optimum import write_optimum
from mixlaw.runs import check_runs

Planted = Callable[..., pd.DataFrame]


@pytest.fixture
def folder(tmp_path: Path, law: str, planted: Planted, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run table and a law, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    planted(runs=16, noise=0.01).to_csv("runs.csv", index=False)
    Path("law.json").write_text(law)
    return tmp_path


@pytest.fixture(scope="module")
def law(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("law") / "law.json"
    write_law(fit(check_runs(planted(runs=16, noise=0.01)), "exponential"), path)
    return path.read_text()


@pytest.fixture(scope="module")
def optimum(law: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("optimum")
    (folder / "law.json").write_text(law)
    write_optimum(optimize(read_law(folder / "law.json"), slack=0), folder / "optimum.json")
    return (folder / "optimum.json").read_text()


def called(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
    monkeypatch.setattr("sys.argv", ["mixlaw", *line.split()])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def first_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["run"] == frame["run"].iloc[0]]


SPOILT: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "sum.csv": lambda frame: frame.assign(**{"mix.web": frame["mix.web"] + 0.02}),
    "one.csv": first_rows,
    "same.csv": lambda frame: frame.assign(**{name: frame[name].iloc[0] for name in frame if name.startswith("mix.")}),
    "domain.csv": lambda frame: frame.drop(columns=["mix.code", "mix.books"]).assign(**{"mix.web": 1.0}),
    "words.csv": lambda frame: frame.astype(object).assign(params="1M"),
    "text.csv": lambda frame: frame.astype(object).assign(**{"loss.web": "high"}),
}

MISTAKES = [
    ("fit sum.csv -o new.json", "sum to 1.02, not 1"),
    ("fit one.csv -o new.json", "one run"),
    ("fit same.csv -o new.json", "same mixture"),
    ("fit text.csv -o new.json", "row 1, column 'loss.web': 'high' is not a number"),
    ("fit empty.csv -o new.json", "empty.csv is empty"),
    ("fit absent.csv -o new.json", "absent.csv does not exist"),
    ("check folder.csv", "folder.csv is a folder"),
    ("fit twice.csv -o new.json", "column 'mix.web' appears twice"),
    ("predict law.json --mixtures again.csv -o new.csv", "column 'web' appears twice"),
    ("merge runs.csv runs.csv -o new.csv", "runs.csv is given twice"),
    ("fit domain.csv -o new.json", "domain.csv has one domain, 'web', which leaves nothing to mix"),
    ("fit words.csv -o new.json", "row 1, column 'params': '1M' is not a number; write 1000000"),
    ("optimize runs.csv", "runs.csv is a table, not a law; fit one to it first: mixlaw fit runs.csv -o law.json"),
    (
        "predict law.json --mixtures runs.csv",
        "runs.csv: it is a run table; in a mixtures file every column",
    ),
    ("optimize law.json --tokens nan -o new.json", "tokens is nan; it must be a positive number"),
    ("optimize law.json --params -1 -o new.json", "params is -1"),
    ("optimize law.json --max-epochs 2 -o new.json", "give --available and --tokens too"),
    ("fit law.json -o new.json", "a run table is .csv"),
    ("fit runs.csv -o new.json --target wep", "did you mean 'web'"),
    ("fit runs.csv -o new.json --law exponental", "did you mean 'exponential'"),
    ("fit runs.csv -o new.json --scale neested", "did you mean 'nested'"),
    ("check sum.csv", "--renormalise"),
    ("predict law.json --mixtures unknown.csv -o new.csv", "'githup'"),
    ("predict law.json --mixtures mixtures.csv --params 7e9 -o new.csv", "one scale"),
    ("predict law.json --mixtures mixtures.csv --interval 90 -o new.csv", "between 0 and 1"),
    ("predict runs.csv --mixtures mixtures.csv -o new.csv", "runs.csv"),
    ("predict broken.json --mixtures mixtures.csv -o new.csv", "broken.json"),
    ("optimize law.json --cap web=0.2 --cap code=0.2 --cap books=0.2 -o new.json", "the caps sum to 0.6"),
    ("optimize law.json --cap wep=0.2 -o new.json", "did you mean 'web'"),
    ("optimize law.json --cap web=20 -o new.json", "between 0 and 1"),
    ("optimize law.json --floor web=0.7 --floor code=0.7 -o new.json", "floors sum to 1.4"),
    ("optimize law.json --at-most web=0.5 -o new.json", "web"),
    ("optimize law.json --weights zero.json -o new.json", "weight"),
    ("compare law.json mixture.json absent.json", "absent.json does not exist"),
    ("export mixture.json --to megatorn -o new.txt", "did you mean 'megatron'"),
    ("report .", "no plan.toml"),
    ("report law.json --groups unknown.json", "unknown.json: group 'one': no target is called 'wob'"),
    ("report law.json --weights other.json", "other.json: no target is called 'wed'"),
    ("report law.json --optimum elsewhere.json", "elsewhere.json: no domain is called 'maths'"),
    ("report runs.csv --weights other.json", "other.json: no target is called 'wed'"),
    ("fit bars.csv -o new.json", "bars.csv has bars between its columns"),
    ("fit capitals.csv -o new.json", "rename 'Mix.web' to 'mix.web', 'Mix.code' to 'mix.code'"),
    ("fit runs.csv -o new.csv", "new.csv: a law is .json, not .csv; name it new.json"),
    ("predict law.json --mixtures mixtures.csv -o new.txt", "a table of predictions is .csv, not .txt"),
    ("optimize law.json -o new.csv", "an optimum is .json, not .csv"),
    ("pareto law.json --groups groups.json -o new.json", "a front is .csv, not .json"),
    ("critical law.json --old web --target web --at-most 3 -o new.csv", "a mixture is .json, not .csv"),
    ("report law.json -o new.json", "a page is .html, not .json"),
    ("sample --domains a,b -o new.json", "a mixtures file is .csv, not .json"),
    ("fit runs.csv -o runs.csv/new.json", "runs.csv is no folder that may be written to"),
    ("check one.csv", "holds one run"),
    ("predict law.json --mixtures unknown.csv", "unknown.csv: no domain is called 'githup'"),
    ("predict law.json --mixtures mixtures.csv --weights other.json", "other.json: no target is called 'wed'"),
    ("optimize law.json --weights other.json", "other.json: no target is called 'wed'; did you mean 'web'"),
    ("optimize law.json --available other.json --tokens 1e9", "other.json: no domain is called 'wed'"),
    ("optimize law.json --available few.json --tokens 1e9", "few.json: available tokens are not given for books, code"),
    ("optimize law.json --prior other.json", "other.json: no domain is called 'wed'"),
    ("compare law.json mixture.json other.json", "other.json: no domain is called 'wed'"),
    ("optimize law.json --available few.json --tokens 1e9 --natural mixture.json", "leave --natural out"),
    ("sample --available few.json --natural mixture.json", "leave --natural out"),
    ("sample --domains web,code,maths --after runs.csv", "runs.csv: no run has trained on maths and its runs have"),
    ("compare law.json mixtures.csv mixture.json", "mixtures.csv is a table; one mixture is a .json file"),
    ("compare law.json law.json mixture.json", "law.json is not a mixture"),
    ("pareto law.json --groups unknown.json", "unknown.json: group 'one': no target is called 'wob'"),
    ("predict law.json --mixtures blank.csv", "blank.csv: row 1 ('1'): column 'code' is blank; write 0"),
    ("check perplexity.csv", "loss.web has median 1"),
    ("corpus new a=", "the path is lacking: write, say, a=a.jsonl"),
    ("corpus new =texts", "the name of the domain is lacking"),
    ("merge runs.csv again.jsonl -o new.csv", "again.jsonl adds nothing: every run of it is in runs.csv already"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_refused_with_a_message_and_no_file(
    folder: Path,
    optimum: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    message: str,
) -> None:
    runs = pd.read_csv("runs.csv")
    for name, spoil in SPOILT.items():
        spoil(runs).to_csv(name, index=False)
    Path("empty.csv").touch()
    Path("folder.csv").mkdir()
    Path("twice.csv").write_text("run,params,tokens,mix.web,mix.web,loss.web\na,1,1,0.5,0.5,2\n")
    Path("again.csv").write_text("web,code,web\n0.5,0.25,0.25\n")
    Path("broken.json").write_text(Path("law.json").read_text()[:200])
    Path("unknown.csv").write_text("web,githup\n0.5,0.5\n")
    Path("mixtures.csv").write_text("web,code,books\n0.5,0.25,0.25\n")
    Path("mixture.json").write_text(json.dumps({"web": 0.5, "code": 0.5}))
    Path("bars.csv").write_text("run|params|tokens|mix.web|mix.code|loss.web\na|1|1|0.5|0.5|2\n")
    Path("capitals.csv").write_text("run,params,tokens,Mix.web,Mix.code,loss.web\na,1,1,0.5,0.5,2\n")
    Path("other.json").write_text(json.dumps({"wed": 1}))
    Path("unknown.json").write_text(json.dumps({"one": ["wob"], "two": ["code"]}))
    Path("blank.csv").write_text("web,code,books\n0.5,,0.5\n")
    Path("elsewhere.json").write_text(optimum.replace('"books"', '"maths"'))
    runs.assign(**{"loss.web": np.exp(runs["loss.web"])}).to_csv("perplexity.csv", index=False)
    Path("few.json").write_text(json.dumps({"web": 1e9}))
    Path("groups.json").write_text(json.dumps({"one": ["web"], "two": ["code"]}))
    runs.assign(run="again-" + runs["run"]).to_json("again.jsonl", orient="records", lines=True, double_precision=15)
    Path("zero.json").write_text(json.dumps({"web": 0, "code": 0}))
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    capsys.readouterr()
    assert called(monkeypatch, line) == 1
    said = capsys.readouterr().err
    assert message in said and said.startswith(f"mixlaw {line.split()[0]}: ") and said.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "line",
    ["fit", "fit runs.csv --nonsense", "nonsense", "predict law.json", "sample --domains a,b -o new.csv --seed -1"],
)
def test_misuse_of_the_command_line_is_exit_code_2(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    assert called(monkeypatch, line) == 2


def test_check_tells_what_is_in_a_file_that_is_no_run_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("points.csv").write_text("params,flop,note,other\n1e6,3e18,a,b\n4e6,,c,d\n")
    assert called(monkeypatch, "check points.csv") == 1
    told = capsys.readouterr()
    assert "points.csv: 2 rows, 4 columns" in told.out
    assert ["flop", "1", "3e+18", "3e+18"] in [line.split() for line in told.out.splitlines()]
    assert told.err.startswith("mixlaw check: points.csv") and len(told.err.splitlines()) == 1


@pytest.mark.parametrize("line", ["check runs.csv", "check runs.csv --json", "fit --help"])
def test_a_reader_that_closes_the_pipe_gets_no_traceback(folder: Path, line: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    answer = subprocess.run([sys.executable, "-m", "mixlaw", *line.split()], stdout=writes, stderr=subprocess.PIPE)
    os.close(writes)
    assert answer.returncode == 1 and b"Traceback" not in answer.stderr and b"Exception" not in answer.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("line", ["check runs.csv", "check runs.csv --json"])
def test_a_full_disk_behind_standard_output_is_one_message(folder: Path, line: str) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "mixlaw", *line.split()]
        answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert answer.returncode == 1 and len(answer.stderr.splitlines()) == 1
    assert answer.stderr.startswith("mixlaw check: standard output cannot be")


@pytest.mark.parametrize(
    ("at_most", "said", "next_"),
    [
        ("9", "stays at or below 9 even without 'web'", "mixlaw optimize law.json; no floor is needed for 'web'"),
        ("{least}", "no proportion keeps a measured loss there", "train a run with "),
    ],
)
def test_critical_advises_no_floor_that_says_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    at_most: str,
    said: str,
    next_: str,
) -> None:
    alone = Mixture.of({"web": 1.0})
    least = read_law("law.json").predict([alone]).set_index("target").loc["web", "loss"]
    limit = at_most.format(least=f"{least + 1e-4:.6f}")
    assert called(monkeypatch, f"critical law.json --old web --target web --at-most {limit}") == 0
    told = capsys.readouterr().out
    assert said in told and f"Next: {next_}" in told and "--floor" not in told


def test_runs_that_two_tables_share_are_merged_once_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], planted: Planted
) -> None:
    runs = pd.read_csv("runs.csv")
    more = planted(runs=6, noise=0.01, seed=1)
    pd.concat([runs.head(10), more.assign(run="new-" + more["run"])]).to_csv("more.csv", index=False)
    assert called(monkeypatch, "merge runs.csv more.csv -o both.csv") == 0
    assert "10 runs of more.csv in runs.csv already" in capsys.readouterr().out
    both = pd.read_csv("both.csv")
    assert both["run"].nunique() == 22 and set(runs["run"]) < set(both["run"])
