"""What a user gets wrong ends with exit code 1, one message that helps, and no half-written file."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from mixlaw.cli.app import main
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law_file import write_law
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
]


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_refused_with_a_message_and_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, message: str
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
