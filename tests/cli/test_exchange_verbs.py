"""`mixlaw import` and `mixlaw export` as people run them."""

import json
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.errors import Refused
from mixlaw.export import EXPORTERS
from mixlaw.files import sha256
from mixlaw.runs import read_runs

OPTIMUM = {
    "mixture": {"books": 0.2, "code": 0.5, "forums": 0.0, "web": 0.3},
    "loss": 2.5,
    "gap": 1e-9,
    "certified": True,
    "tokens": 16e9,
    "runs_sha256": "ab" * 32,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("optimum.json").write_text(json.dumps(OPTIMUM))
    Path("paths.toml").write_text('code = "/d/code"\nweb = "/d/web"\nbooks = "/d/books"\n')
    sizes = {name: {"tokens": 4e9, "documents": 1e6} for name in ("code", "web", "books")}
    Path("available.json").write_text(json.dumps(sizes))
    return tmp_path


def run(*words: str) -> tuple[str, str]:
    """stdout and stderr of a command that does not refuse."""
    answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout, answer.stderr


def test_export_prints_the_section_alone_on_stdout_and_says_the_rest_on_stderr(folder: Path) -> None:
    out, err = run("export", "optimum.json", "--to", "megatron", "--paths", "paths.toml")
    assert out == "0.2 /d/books 0.5 /d/code 0.3 /d/web\n"
    assert "left out, with a proportion of 0: forums" in err and "Next: pass --data-args-path" in err


def test_export_writes_the_file_and_beside_it_what_the_numbers_are(folder: Path) -> None:
    words = "export optimum.json --to streaming --paths paths.toml --available available.json -o streams.yaml"
    out, _ = run(*words.split())
    section = yaml.safe_load(Path("streams.yaml").read_text())["train_loader"]["dataset"]
    assert section["streams"]["code"]["proportion"] == 0.5
    beside = json.loads(Path("mixlaw-mixture.json").read_text())
    (stage,) = beside["stages"]
    assert beside["format"] == "streaming" and beside["unit"] == "sequences" and beside["tokens"] == 16e9
    assert stage["mixture"] == OPTIMUM["mixture"] and stage["written"] == {"books": 0.2, "code": 0.5, "web": 0.3}
    assert stage["from"]["runs_sha256"] == "ab" * 32 and stage["from"]["sha256"] == sha256("optimum.json")
    assert any("'code' is read 2 times" in warning for warning in beside["warnings"])
    assert "'code' is read 2 times" in out


def test_export_says_when_the_optimum_is_not_certified(folder: Path) -> None:
    Path("optimum.json").write_text(json.dumps({**OPTIMUM, "certified": False}))
    _, err = run("export", "optimum.json", "--to", "megatron", "--paths", "paths.toml")
    assert "not certified" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--to megatrom", "did you mean 'megatron'"),
        ("--to huggingface", r"documents of 'books' are not known.*--unit sequences"),
        ("--to megatron --stage 9000", "is not STEP=FILE"),
        ("--to torchtitan --stage 9000=optimum.json", "cannot change its mixture during a run"),
        ("--to megatron --unit documents", "cannot be given shares of documents"),
        ("--to megatron --unit rows", "no unit is called 'rows'"),
        ("--to megatron --paths nowhere.toml", "nowhere.toml does not exist"),
    ],
)
def test_export_refuses_with_a_reason_and_writes_nothing(folder: Path, words: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        CliRunner().invoke(app, ["export", "optimum.json", *words.split(), "-o", "out"], catch_exceptions=False)
    assert not Path("out").exists() and not Path("mixlaw-mixture.json").exists()


def test_export_writes_a_blend_for_each_of_megatrons_phases_and_says_how_to_launch_them(folder: Path) -> None:
    later = {"books": 0.75, "code": 0.25, "forums": 0.0, "web": 0.0}
    Path("later.json").write_text(json.dumps(later))
    words = "export optimum.json --to megatron --paths paths.toml --stage 9000=later.json"
    out, _ = run(*words.split(), "-o", "blend.txt")
    assert Path("blend.txt").read_text() == "0.2 /d/books 0.5 /d/code 0.3 /d/web\n"
    assert Path("blend-9000.txt").read_text() == "0.75 /d/books 0.25 /d/code\n"
    assert "blend.txt, blend-9000.txt:" in out and "--phase-transition-iterations 9000," in out
    stages = json.loads(Path("mixlaw-mixture.json").read_text())["stages"]
    assert [stage["start_step"] for stage in stages] == [0, 9000] and stages[1]["mixture"] == later
    with pytest.raises(Refused, match="megatron takes each stage from a file of its own; name the first with -o"):
        CliRunner().invoke(app, words.split(), catch_exceptions=False)


LOG = "run,step,eval/web,eval/code,mix.web,mix.code,params\na,10,2.5,1.5,0.75,0.25,1000\nb,10,2.25,1.75,0.5,0.5,1000\n"
SAID = ("--map", "loss.*=eval/*", "--tokens-per-step", "100")


def test_import_shows_first_and_writes_nothing(folder: Path) -> None:
    Path("log.csv").write_text(LOG)
    before = sorted(Path().iterdir())
    out, _ = run("import", "log.csv", "--show")
    assert "proportions: mix.code, mix.web" in out and "losses: none in the log" in out
    assert "not used: eval/code, eval/web" in out and "missing: log.csv: no name is taken for a loss" in out
    out, _ = run("import", "log.csv", "--show", *SAID)
    assert "loss.code = eval/code, loss.web = eval/web" in out and "-o runs.parquet writes 2 rows" in out
    assert "missing" not in out
    assert sorted(Path().iterdir()) == before


def test_import_shows_every_note_that_the_table_would_have(folder: Path) -> None:
    Path("log.csv").write_text(LOG + "c,10,,,0.5,0.5,1000\nd,10,nan,1.5,0.499,0.5,1000\n")
    shown, _ = run("import", "log.csv", "--show", *SAID)
    written, _ = run("import", "log.csv", "-o", "runs.csv", *SAID)
    notes = [line for line in written.splitlines() if line.startswith("note")]
    assert notes and notes == [line for line in shown.splitlines() if line.startswith("note")]
    assert "note: no loss of these is logged in 1 run, left out: c" in notes


def test_import_shows_everything_that_is_missing_at_once(folder: Path) -> None:
    Path("log.csv").write_text("run,step,eval/web,eval/code,web,code\na,10,2.5,1.5,0.75,0.25\n")
    missing = [line.split(";")[0] for line in run("import", "log.csv", "--show")[0].splitlines() if "missing" in line]
    assert missing[1:] == ["missing too: tokens", "missing too: params", "missing too: mixture"]
    said = ("--map", "loss.*=eval/*", "--run-pattern", "{mix.web}", "--params", "1e8")
    lines = [line for line in run("import", "log.csv", "--show", *said)[0].splitlines() if "missing" in line]
    assert len(lines) == 2 and "missing too: tokens; pass --tokens-per-step" in lines[1]


def test_import_ends_with_the_flags_that_the_names_suggest_and_they_are_enough(folder: Path) -> None:
    rows = ["run,step,eval/loss_web,eval/loss_code,data.web,data.code,n_params,tokens_seen"]
    rows += ["a,10,2.5,1.5,0.75,0.25,1000000,5000", "b,10,2.25,1.75,0.5,0.5,1000000,5000"]
    Path("log.csv").write_text("\n".join(rows))
    last = run("import", "log.csv", "--show")[0].splitlines()[-1]
    said, flags = last.split("the same command with ")
    assert said == "Next: if the names mean what they seem to, "
    out, _ = run("import", "log.csv", "-o", "runs.csv", *shlex.split(flags))
    assert "runs.csv: 2 runs, 2 rows, 2 domains, 2 targets" in out
    with pytest.raises(Refused, match=r"no tokens.*; missing too, see --show: params, mixture"):
        run("import", "log.csv", "-o", "runs.csv", "--map", "loss.*=eval/loss_*")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_importing_again_writes_the_same_bytes_and_the_table_is_read(folder: Path, suffix: str) -> None:
    Path("log.csv").write_text(LOG)
    out, _ = run("import", "log.csv", "-o", f"runs.{suffix}", *SAID)
    first = Path(f"runs.{suffix}").read_bytes()
    run("import", "log.csv", "-o", f"runs.{suffix}", *SAID)
    assert Path(f"runs.{suffix}").read_bytes() == first
    assert f"Next: mixlaw check runs.{suffix}" in out
    table = read_runs(f"runs.{suffix}")
    assert table.tokens.tolist() == [1000, 1000] and table.losses.tolist() == [[1.5, 2.5], [1.75, 2.25]]


def test_import_looks_mixtures_up_and_reads_them_from_names(folder: Path) -> None:
    Path("log.csv").write_text("run,step,eval/web\nw75,10,2.5\nw50,10,2.25\n")
    Path("mixtures.csv").write_text("name,web,code,params\nw50,0.5,0.5,1000\nw75,0.75,0.25,1000\n")
    run("import", "log.csv", "-o", "runs.csv", *SAID, "--runs", "mixtures.csv")
    first = read_runs("runs.csv").proportions.tolist()
    Path("log.csv").write_text("id,step,eval/web\nw75-c25,10,2.5\nw50-c50,10,2.25\n")
    said = ("--map", "run=id", "--run-pattern", "w{mix.web%}-c{mix.code%}", "--params", "1000")
    run("import", "log.csv", "-o", "runs.csv", *SAID, *said)
    assert read_runs("runs.csv").proportions.tolist() == first == [[0.5, 0.5], [0.25, 0.75]]


def test_mixtures_given_in_tokens_are_divided_by_their_sum_only_when_said(folder: Path) -> None:
    Path("log.csv").write_text("run,step,eval/web\na,10,2.5\n")
    Path("mixtures.csv").write_text("run,web,code\na,30000,10000\n")
    words = ["import", "log.csv", "-o", "runs.csv", *SAID, "--runs", "mixtures.csv", "--params", "1000"]
    with pytest.raises(Refused, match="sum to 40000, not 1"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    run(*words, "--renormalise")
    assert read_runs("runs.csv").proportions.tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("log.csv", "name one with -o, or look first with --show"),
        ("nothing.csv -o runs.csv", "nothing.csv does not exist"),
        ("log.csv -o runs.csv", "no name is taken for a loss"),
        ("log.csv -o runs.csv --map loss.*=eval/*", r"have no tokens, and it is not guessed \(a, b\)"),
        ("log.csv -o runs.csv --from wnadb", "did you mean 'wandb'"),
        ("log.csv -o runs.csv --unit bit", "did you mean 'bits'"),
        ("log.csv -o runs.csv --long metric", "is not NAMES=VALUES"),
        ("log.csv -o runs.txt --map loss.*=eval/* --tokens 10", "a run table is .csv"),
        ("log.csv -o runs.csv --runs log.csv", "sum to"),
        ("optimum.json -o runs.csv", "no kind of log that is known; say which with --from"),
    ],
)
def test_import_refuses_with_a_reason_and_writes_nothing(folder: Path, words: str, message: str) -> None:
    Path("log.csv").write_text(LOG)
    with pytest.raises(Refused, match=message):
        CliRunner().invoke(app, ["import", *words.split()], catch_exceptions=False)
    assert not list(Path().glob("runs.*"))


def test_an_optimum_that_knows_its_epochs_needs_no_available_tokens(folder: Path) -> None:
    Path("optimum.json").write_text(
        json.dumps({**OPTIMUM, "epochs": {"code": 2.0, "web": 0.5, "books": 1.0, "forums": 0}})
    )
    out, err = run("export", "optimum.json", "--to", "olmo-core", "--paths", "paths.toml")
    assert "'code' is read 2 times: 0.5 of 16B tokens, of which 4B are available" in err
    ratios = {entry["source_name"]: entry.get("max_repetition_ratio") for entry in yaml.safe_load(out)["sources"]}
    assert ratios == {"books": None, "code": 2.0, "web": None}


def test_export_lists_every_format_with_what_its_numbers_count(folder: Path) -> None:
    out, _ = run("export", "--formats")
    lines = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert EXPORTERS.keys() <= lines.keys() and "documents or sequences" in lines["huggingface"]
