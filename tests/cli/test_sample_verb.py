"""`mixlaw sample` and `mixlaw merge` as people run them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.corpus.build import build_corpus
from mixlaw.errors import Refused
from mixlaw.mixture import read_mixtures

PLAN = """
name = "small"
seed = 7
[corpus]
path = "CORPUS"
available_tokens = { books = 500, code = 2000, web = 15000 }
[training]
sequence_length = 50
batch_tokens = 500
[design]
mixtures = 24
[proxies]
sizes = ["0.1M"]
tokens = [500, 2000]
[target]
size = "1M"
tokens = 20000
max_epochs = 2
[weights]
code = 1.0
"""


def run(*words: str) -> str:
    """What a command that does not refuse says."""
    answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def refusal(*words: str) -> str:
    """What a command that refuses says."""
    with pytest.raises(Refused) as caught:
        CliRunner().invoke(app, list(words), catch_exceptions=False)
    return str(caught.value)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three domains of random words."""
    random, out = np.random.default_rng(0), tmp_path_factory.mktemp("corpus") / "corpus"
    letters = np.array(list("abcdefgh "))
    sizes = {"books": 4, "code": 12, "web": 80}
    build_corpus(
        out, {name: ["".join(random.choice(letters, 1000)) for _ in range(n)] for name, n in sizes.items()}, 300
    )
    return out


@pytest.fixture
def folder(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan, and the tokens its corpus lets it use."""
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(PLAN.replace("CORPUS", str(corpus)))
    return tmp_path


def test_a_plan_gives_a_mixtures_file_and_the_spread_of_every_domain(folder: Path) -> None:
    said = run("sample", "plan.toml", "-o", "mixtures.csv")
    mixtures = read_mixtures("mixtures.csv")
    assert list(mixtures)[:3] == ["natural", "uniform", "m001"] and len(mixtures) == 24
    assert mixtures["natural"].as_dict()["web"] == pytest.approx(30 / 35)
    assert max(mixture.as_dict()["books"] for mixture in mixtures.values()) <= 0.5  # 2 epochs of 500 in 2000
    lines = said.splitlines()
    assert " ".join(lines[1].split()) == "domain smallest median 95% largest absent natural cap target cap"
    assert lines[2].startswith("books") and lines[2].split()[-3:] == ["0.0286", "0.5000", "0.0500"]
    assert (
        "24 different mixtures; for 3 domains a law takes at least 4" in said
        and "Next: mixlaw train plan.toml, or" in said
    )


def test_what_comes_next_trains_the_mixtures_that_were_written(folder: Path) -> None:
    more = ("sample", "plan.toml", "--count", "30")
    Path("next").mkdir()
    assert 'file = "next/m.csv" under [design] of plan.toml' in " ".join(run(*more, "-o", "next/m.csv").split())
    text = Path("plan.toml").read_text()
    Path("plan.toml").write_text(text.replace("[design]", '[design]\nfile = "m.csv"').replace("mixtures = 24\n", ""))
    assert "which reads them from there" in run(*more, "-o", "m.csv")
    assert 'file = "other.csv" under' in " ".join(run(*more, "-o", "other.csv").split())
    assert "with file = " in " ".join(run("sample", "--domains", "a,b", "-o", "own.csv").split())


def test_flags_change_the_plan_for_once(folder: Path) -> None:
    run(
        "sample",
        "plan.toml",
        "--count",
        "6",
        "--seed",
        "1",
        "--cap",
        "code=0.1",
        "--cap",
        "books=0.2",
        "-o",
        "mixtures.csv",
    )
    mixtures = read_mixtures("mixtures.csv")
    assert len(mixtures) == 6 and "uniform" not in mixtures and "natural" not in mixtures
    assert max(mixture.as_dict()["code"] for mixture in mixtures.values()) <= 0.1


def test_without_a_plan_domains_are_enough(tmp_path: Path) -> None:
    said = run("sample", "--domains", "web, code ,books", "--method", "maximin", "-o", str(tmp_path / "m.csv"))
    assert len(read_mixtures(tmp_path / "m.csv")) == 24 and "code" in said


def test_without_a_file_to_write_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Next: the same with -o mixtures.csv" in run("sample", "--domains", "web,code")
    assert not list(tmp_path.iterdir())


def test_tokens_limit_a_proxy_by_the_data_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"web": 9e9, "code": 1e8}')
    words = ["--available", str(tmp_path / "a.json"), "--tokens", "2e9", "--max-epochs", "4"]
    run("sample", *words, "--limit", "code <= 0.5 * web", "-o", str(tmp_path / "m.csv"))
    mixtures = [mixture.as_dict() for mixture in read_mixtures(tmp_path / "m.csv").values()]
    assert max(mixture["code"] for mixture in mixtures) == pytest.approx(0.2)
    assert mixtures[0]["web"] == pytest.approx(90 / 91)


def test_a_frozen_mixture_moves_as_one(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"a": 0.25, "b": 0.75}')
    words = ["--domains", "a,b,new", "--frozen", str(tmp_path / "old.json"), "--count", "8"]
    said = run("sample", *words, "-o", str(tmp_path / "m.csv"))
    mixtures = read_mixtures(tmp_path / "m.csv")
    assert "frozen" in mixtures and "(frozen)" in said and "move together" not in said
    assert all(3 * mixture.as_dict()["a"] == pytest.approx(mixture.as_dict()["b"]) for mixture in mixtures.values())


def test_after_runs_comes_the_next_batch_and_a_verdict(
    tmp_path: Path, planted: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planted(12, 0.05).to_csv("runs.csv", index=False)
    run("sample", "--domains", "web,code,books", "--count", "3", "-o", "m.csv")
    said = run("sample", "--after", "runs.csv", "--count", "4", "-o", "m.csv", "--enough", "1e-7")
    assert "not enough yet" in said and "m.csv: 4 mixtures, after the 3 mixtures that were there" in said
    assert list(read_mixtures("m.csv"))[3:] == [f"after12-0{number}" for number in range(1, 5)]
    said = " ".join(run("sample", "--after", "runs.csv", "--count", "4", "--enough", "100").split())
    assert "against 100; enough" in said


def test_a_batch_is_not_written_after_mixtures_of_other_domains(
    folder: Path, planted: Callable[..., pd.DataFrame]
) -> None:
    planted(24).to_csv("runs.csv", index=False)
    run("sample", "--domains", "web,law", "--count", "3", "-o", "next.csv")
    before = Path("next.csv").read_text()
    said = refusal("sample", "--after", "runs.csv", "--count", "2", "-o", "next.csv")
    assert "next.csv holds mixtures of law, web, and these are of books, code, web; name another file" in said
    assert Path("next.csv").read_text() == before


def test_merged_run_tables_are_one_that_fits(tmp_path: Path, planted: Callable[..., pd.DataFrame]) -> None:
    old, new = planted(6, seed=1), planted(6, seed=2)
    old = old.assign(**{"mix.text": old["mix.web"] + old["mix.books"]}).drop(columns=["mix.web", "mix.books"])
    old.to_csv(tmp_path / "old.csv", index=False)
    new.assign(run="n" + new["run"]).to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "map.json").write_text('{"text": {"web": 0.6, "books": 0.4}}')
    files = [str(tmp_path / name) for name in ("old.csv", "new.csv", "map.json", "runs.csv")]
    said = run("merge", files[0], files[1], "--map", files[2], "-o", files[3])
    frame = pd.read_csv(files[3])
    assert len(frame) == 12 and "12 runs, 3 domains, 2 targets" in said
    assert np.allclose(frame["mix.web"][:6] * 0.4, frame["mix.books"][:6] * 0.6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sample", "there is no plan and no domain"),
        ("sample --domains web,,code", "empty or repeated"),
        ("sample --domains web,code --cap web", "--cap web is not NAME=NUMBER"),
        ("sample --domains web,code --cap web=0.3 --cap code=0.3", "the caps sum to 0.6"),
        ("sample --domains web,code --method best", "no design is called 'best'"),
        ("sample --domains web,code --method natural", "the natural mixture, which is not known"),
        ("sample plan.toml --domains web", "the plan has the domains"),
        ("sample plan.toml --max-epochs 2", "--max-epochs would change nothing: the plan has the domains"),
        (
            "sample --domains web,code --tokens 1e9",
            "--tokens would change nothing: a proxy is limited by the text at hand",
        ),
        (
            "sample --domains web,code --weights w.json",
            "--weights would change nothing: only a batch after runs asks; give --after RUNS",
        ),
        ("sample --domains web,code --enough 0.1", "--enough would change nothing"),
        ("sample --after runs.csv --method maximin", "--method would change nothing: after runs the law chooses"),
        ("sample --after runs.csv --frozen old.json", "--frozen would change nothing"),
        ("sample absent.toml", "absent.toml does not exist"),
        ("sample --after absent.csv", "absent.csv does not exist"),
        ("sample plan.toml --cap cod=0.3", "did you mean 'code'"),
        ("merge absent.csv -o runs.csv", "nothing to change"),
    ],
)
def test_mistakes_are_refused_and_nothing_is_written(folder: Path, words: str, said: str) -> None:
    before = sorted(folder.iterdir())
    assert said in refusal(*words.split(), *(["-o", "out.csv"] if words.startswith("sample") else []))
    assert sorted(folder.iterdir()) == before
