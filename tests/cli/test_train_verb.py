"""`mixlaw train` as people run it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app, main
from mixlaw.launch.lock import locked
from mixlaw.launch.queue import CLAIMS, Queue
from mixlaw.runs import read_runs
from mixlaw.study_files import RECORDS

PLAN = """
name = "small"
[corpus]
path = "{corpus}"
[design]
mixtures = 2
repeats = 1
[training]
sequence_length = 32
batch_tokens = 128
evaluation_tokens = 256
device = "cpu"
[proxies]
sizes = ["0.03M"]
tokens = [640, 1280]
[target]
size = "0.05M"
tokens = 2560
"""


@pytest.fixture
def study(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    Path("study").mkdir()
    Path("study/plan.toml").write_text(PLAN.format(corpus=tiny_corpus))
    Path("mine.json").write_text(json.dumps({"prose": 0.25, "digits": 0.75}))
    return tmp_path / "study"


def run(*words: str) -> str:
    """stdout of a command that does not refuse."""
    answer = CliRunner().invoke(app, ["train", *words], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> str:
    monkeypatch.setattr("sys.argv", ["mixlaw", "train", *line.split()])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_it_trains_tells_how_far_it_is_and_ends_with_the_next_verb(study: Path) -> None:
    assert "0 of 3 runs done, 0 running, 0 failed, 3 left\nno command trains here now" in run("study", "--status")
    out = run("study/plan.toml", "--workers", "1", "-o", "table.jsonl")
    assert "3 proxy runs of 0.03M" in out
    assert "table.jsonl: 3 runs, 6 rows\nNext: mixlaw fit table.jsonl -o study/law.json" in out
    assert (read_runs("table.jsonl").losses == read_runs("study/runs.csv").losses).all()
    status = run("study", "--status")
    assert "3 of 3 runs done, 0 running, 0 failed, 0 left" in status
    assert "tokens/s a worker" in status


def test_the_next_verb_fixes_a_domain_that_the_plan_pins(study: Path) -> None:
    plan = (study / "plan.toml").read_text()
    pinned = plan.replace("[design]", "[design]\nfloors = { digits = 0.25 }\ncaps = { digits = 0.25 }")
    (study / "plan.toml").write_text(pinned)
    assert "Next: mixlaw fit study/runs.csv --fixed digits -o study/law.json" in run("study", "--workers", "1")


def test_a_dry_run_prices_what_is_left_and_trains_nothing(study: Path) -> None:
    out = run("study", "--dry-run", "--workers", "2")
    row = next(line.split() for line in out.splitlines() if line.startswith("0.03M"))
    assert row[:4] == ["0.03M", "26.8k", "3", "3.84k"]
    assert float(row[4]) == pytest.approx(3840 * (6 * (26784 + 257 * 32) + 6 * 2 * 32 * 32), rel=0.05)
    assert row[5] == "22%", "8,224 of 37,094 operations"
    assert float(row[6].rstrip("%")) == pytest.approx(100 * 0.37 * 1536 / (1280 + 0.37 * 1536), abs=1), (
        "2 x 3 targets x 256, at 0.37"
    )
    assert "read-outs take more than 15% of the time" in out
    assert "3 runs left of 3" in out and "with 2 workers" in out
    assert not (study / "runs").exists()
    run("study", "--workers", "1")
    assert run("study", "--dry-run") == "nothing is left to train\n"


def test_a_mixture_is_trained_in_full_under_its_name_and_seed(study: Path) -> None:
    out = run("study", "--mixture", "mine.json", "--seed", "7", "--workers", "1")
    assert "1 full run of 0.05M on 2.56k tokens" in out
    assert "Next: mixlaw report study" in out
    table = read_runs("study/full_runs.csv")
    assert set(table.runs) == {"mine-0.05M-seed7"}
    assert (study / "models" / "mine-0.05M-seed7" / "model.safetensors").is_file()
    assert "1 of 1 run done" in run("study", "--mixture", "mine.json", "--seed", "7", "--status")


def test_status_tells_who_trains(study: Path) -> None:
    queue = Queue(study / RECORDS)
    with locked(study / RECORDS):
        (queue.folder / CLAIMS).mkdir(parents=True)
        claim = queue.claim("natural-0.03M", "7")
        assert claim is not None
        queue.tell(replace(claim, tokens=640))
        status = run("study", "--status")
    assert "training now: process" in status and "0 of 3 runs done, 1 running, 0 failed, 3 left" in status
    assert f"natural-0.03M is trained by worker 7 on {claim.host}, 50%" in status
    assert "Next:" not in status, "nothing is to be done while it trains"
    later = run("study", "--status")
    assert "0 running" in later, "a worker of this machine ends with its command"
    assert "Next: mixlaw train study" in later


def test_status_tells_the_hours_that_are_left(study: Path) -> None:
    run("study", "--workers", "1")
    plan = (study / "plan.toml").read_text()
    (study / "plan.toml").write_text(plan.replace("mixtures = 2", "mixtures = 3"))
    status = run("study", "--status", "--workers", "3")
    hours = float(re.search(r"(\S+) CPU worker-hours left: \d+ s with 3 workers", status)[1])  # type: ignore[index]
    assert 0 < hours < 0.01


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nowhere.toml", "nowhere.toml does not exist"),
        ("study --launch cloud", "no engine is called 'cloud'; there are: local, slurm, ray"),
        ("study --launch slurm", "nothing says how many; give --workers, or launch.workers"),
        ("study --seed 3", "--name and --seed are for a full run; give --mixture too"),
        ("study --mixture many.csv --name mine", "--name is for one mixture, and many.csv names its own"),
        ("study --mixture absent.json", "absent.json does not exist"),
        ("study --mixture wrong.json", "mixture 'wrong': no domain is called 'pros'; did you mean 'prose'?"),
        ("study -o runs.txt", "no format of a run table is called '.txt'"),
        ("study/badsize.toml", "the plan's proxies.sizes: no size is called '0.04M'; did you mean"),
        ("study/badcorpus.toml", "gone is not a folder; make a corpus with"),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_trained(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    Path("wrong.json").write_text('{"pros": 1}')
    plan = (study / "plan.toml").read_text()
    (study / "badsize.toml").write_text(plan.replace('sizes = ["0.03M"]', 'sizes = ["0.04M"]'))
    (study / "badcorpus.toml").write_text(plan.replace("path = ", 'path = "gone" #'))
    message = refused(monkeypatch, capsys, line)
    assert message.startswith("mixlaw train: ") and said in message
    assert not list(study.glob("runs/records-*")) and not (study / "runs.csv").exists()
