"""The help is run, not believed: every verb has an example that works, and `mixlaw` alone says where to begin."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard
from typer.main import get_command
from typer.testing import CliRunner

from mixlaw.cli.app import PANELS, app
from mixlaw.corpus.build import build_corpus
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import write_law
from mixlaw.runs import check_runs

Planted = Callable[..., pd.DataFrame]
VERBS = {verb.NAME: verb for verbs in PANELS.values() for verb in verbs}

ELSEWHERE = {
    "demo": "ten minutes; make demo runs it",
    "probe": "trains for minutes; tests/launch/test_probe.py runs it",
    "train": "trains for minutes; test_train_verb.py runs it",
    "import wandb/": "needs what wandb writes; tests/importers/test_wandb_offline.py reads it",
}
"""Examples that are only held against the flags here, and where they are run."""

PLAN = """
name = "Examples"
[corpus]
path = "shards"
[proxies]
sizes = ["0.1M"]
tokens = [4096]
[target]
size = "0.2M"
tokens = 8192
max_epochs = 1000
"""


def examples() -> list[str]:
    return [
        " ".join(example.split())
        for verb in VERBS.values()
        for example in re.findall(r"Example: (mixlaw .*?)(?:\n\s*\n|\Z)", verb.run.__doc__ or "", re.DOTALL)
    ]


def is_run(example: str) -> bool:
    return not any(example.startswith(f"mixlaw {begin}") for begin in ELSEWHERE)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Path:
    """A folder with every file that an example names."""
    folder = tmp_path_factory.mktemp("examples")
    scales = tuple((params, tokens) for params in (10**8, 3 * 10**8) for tokens in (10**10, 4 * 10**10))
    runs = planted(runs=14, noise=0.003, scales=scales)
    for name in ("runs.csv", "old.csv"):
        runs.to_csv(folder / name, index=False)
    planted(runs=14, noise=0.003, seed=1, scales=scales).to_csv(folder / "new.csv", index=False)
    law = fit(check_runs(runs), "exponential", "pooled")
    write_law(law, folder / "law.json")
    largest = runs[(runs["params"] == 3 * 10**8) & (runs["tokens"] == 4 * 10**10)]
    in_two_stages(largest, law, 0.2).to_csv(folder / "staged.csv", index=False)
    contents = {
        "columns.json": {"web": "web"},
        "groups.json": {"code": ["code"], "prose": {"web": 1}},
        "tokens.json": {"web": 1e11, "code": 5e9, "books": 2e9},
        "optimum.json": {"web": 0.4, "code": 0.4, "books": 0.2},
        "natural.json": {"web": 0.8, "code": 0.1, "books": 0.1},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "candidates.csv").write_text("name,web,code,books\nfirst,0.5,0.3,0.2\nsecond,0.2,0.2,0.6\n")
    (folder / "paths.toml").write_text('web = "/data/web"\ncode = "/data/code"\nbooks = "/data/books"\n')
    (folder / "log.csv").write_text("run,step,mix.web,mix.code,eval/web_loss\na,10,0.5,0.5,2.5\nb,10,0.2,0.8,2.6\n")
    (folder / "plan.toml").write_text(PLAN)
    _texts(folder)
    return folder


def in_two_stages(runs: pd.DataFrame, law: Law, share: float) -> pd.DataFrame:
    """Runs of one size and token count again, each ending on another one's mixture, with losses of what they read."""
    domains = [f"mix.{name}" for name in law.domains]
    final = runs[domains].to_numpy()[::-1]
    staged = runs.assign(run="late-" + runs["run"], final_share=share)
    staged[[name.replace("mix.", "final.") for name in domains]] = final
    staged[domains] = (1 - share) * runs[domains] + share * final
    at = law.at(float(runs["params"].iloc[0]), float(runs["tokens"].iloc[0]))
    staged[[f"loss.{name}" for name in law.targets]] = at.law.predict(staged[domains].to_numpy())
    return staged


def _texts(folder: Path) -> None:
    generator = np.random.default_rng(0)
    texts = {
        name: ["".join(generator.choice(list("abcdefgh \n"), size=4000)) for _ in range(20)]
        for name in ("web", "code", "books")
    }
    build_corpus(folder / "shards", texts, tokenizer=257)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts["web"])
    (folder / "crawl.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines.encode()))
    pd.DataFrame({"text": texts["code"]}).to_parquet(folder / "code.parquet")
    (folder / "books").mkdir()
    for number, text in enumerate(texts["books"]):
        (folder / "books" / f"{number}.txt").write_text(text)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_of_its_own(verb: str) -> None:
    assert any(example.startswith(f"mixlaw {verb} ") for example in examples())


@pytest.mark.parametrize("example", examples())
def test_every_example_uses_flags_that_exist(example: str) -> None:
    _, verb, *words = shlex.split(example)
    get_command(app).commands[verb].make_context(verb, words)  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", VERBS)
def test_words_in_brackets_are_on_screen(verb: str) -> None:
    command = get_command(app).commands[verb]  # type: ignore[attr-defined]
    written = [VERBS[verb].run.__doc__, *(getattr(param, "help", "") or "" for param in command.params)]
    shown = "".join(CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "300"}).output.split())
    for word in {word for text in written for word in re.findall(r"\[+[^\[\]]+\]+", (text or "").replace("\\[", "["))}:
        assert "".join(word.split()) in shown, word


@pytest.mark.parametrize("verb", VERBS)
def test_no_two_flags_of_a_verb_are_explained_alike(verb: str) -> None:
    params = get_command(app).commands[verb].params  # type: ignore[attr-defined]
    helps = [param.help for param in params if param.param_type_name == "option"]
    assert all(helps) and len(set(helps)) == len(helps)


@pytest.mark.parametrize("example", [example for example in examples() if is_run(example)])
def test_an_example_does_what_it_says(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str
) -> None:
    shutil.copytree(template, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    words = shlex.split(example)[1:]
    answer = CliRunner().invoke(app, words, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    if "-o" in words:
        assert Path(words[words.index("-o") + 1]).stat().st_mtime >= (template / "plan.toml").stat().st_mtime
    if words[0] != "corpus" and not words[0].startswith("-"):
        assert "Next: " in answer.output, "a verb ends by naming the next"


def test_mixlaw_alone_shows_the_pipeline_and_where_to_begin() -> None:
    answer = CliRunner().invoke(app, [])
    said = " ".join(answer.output.split())
    assert answer.exit_code == 0
    assert "text → corpus → sample → train → runs.csv → fit → law.json → optimize → optimum.json" in said
    assert "You have logged runs" in said and "mixlaw demo" in said
    for panel in PANELS:
        assert panel in said


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("mixlaw op", "optimize"),
        ("mixlaw fit runs.csv --law rec", "reciprocal"),
        ("mixlaw fit runs.csv --scale poo", "pooled"),
        ("mixlaw export optimum.json --to meg", "megatron"),
        ("mixlaw import log --from tens", "tensorboard"),
    ],
)
def test_the_shell_completes_verbs_and_the_names_they_take(typed: str, completed: str) -> None:
    asked = {"_MIXLAW_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    answer = CliRunner().invoke(app, [], env=asked, prog_name="mixlaw")
    assert completed in answer.stdout.split()


def test_what_goes_into_a_pipe_has_no_colours_and_no_bars(template: Path) -> None:
    answer = CliRunner().invoke(app, ["check", str(template / "runs.csv")], catch_exceptions=False)
    assert "\x1b" not in answer.output and answer.stderr == ""
