"""The pages under docs/ are run, not believed: commands, plans, Python, links, and the numbers they quote."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares
from typer.main import get_command
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.launch_plan import Launch
from mixlaw.laws import LAWS
from mixlaw.plan import read_plan

Planted = Callable[..., pd.DataFrame]

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
RESULTS = ROOT / "benchmarks" / "results"
PLAN = """
name = "base"
[corpus]
path = "corpus"
[proxies]
sizes = ["0.1M"]
tokens = [102_400]
[target]
size = "0.2M"
tokens = 819_200
"""


def named(page: Path) -> str:
    return str(page.relative_to(DOCS))


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    joined = "\n".join(blocks(text, "sh")).replace("\\\n", " ")
    lines = (re.split(r"\s{2,}#", line)[0].strip() for line in joined.splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("mixlaw ")]


def run(words: list[str]) -> None:
    answer = CliRunner().invoke(app, words, catch_exceptions=False)
    assert answer.exit_code == 0, f"{' '.join(words)}: {answer.output}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_is_one_that_the_command_line_accepts(page: Path) -> None:
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    for verb, *words in commands(page.read_text()):
        verbs[verb].make_context(verb, list(words))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_plan_is_one_that_is_read(page: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    for number, block in enumerate(blocks(page.read_text(), "toml")):
        (tmp_path / f"{number}.toml").write_text(block)
        plan = read_plan(tmp_path / f"{number}.toml")
        assert plan.moves or plan.launch != Launch()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), f"{page.name} points to {link}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_number_of_a_benchmark_stands_in_its_results(page: Path) -> None:
    quoted = re.findall(r"\(`make bench-([a-z-]+)`\):\n\n((?:\|.*\n?)+)", page.read_text())
    for name, table in quoted:
        results = {tuple(line.split()) for line in (RESULTS / f"{name}.md").read_text().splitlines()}
        for line in table.splitlines()[2:]:
            assert tuple(line.split()) in results, f"{page.name}: not in results/{name}.md (make quotes): {line}"


def test_every_page_is_in_the_site_and_every_name_of_the_reference_exists() -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    assert {named(page) for page in PAGES} == set(re.findall(r"([a-z/-]+\.md)", site))
    for name in re.findall(r"^::: (mixlaw\.\S+)", (DOCS / "reference.md").read_text(), re.MULTILINE):
        module, _, attribute = name.rpartition(".")
        assert getattr(__import__(module, fromlist=[attribute]), attribute).__doc__, name


def test_the_page_of_the_command_line_names_every_verb() -> None:
    text = (DOCS / "command-line.md").read_text()
    for verb in get_command(app).commands:  # type: ignore[attr-defined]
        assert f"`{verb}`" in text, verb


def test_laws_are_convex_where_the_page_says_so(planted: Planted) -> None:
    frame = planted(runs=24, noise=0.01)
    mixtures, losses = frame.filter(like="mix.").to_numpy(), frame.filter(like="loss.").to_numpy()
    table = re.split(r"^## ", (DOCS / "which-law.md").read_text(), flags=re.MULTILINE)[1]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    told = {kind: row[2] for row in rows for kind in re.findall(r"`([a-z0-9-]+)`", row[0]) if not kind.startswith("-")}
    assert set(told) == set(LAWS)
    for kind, convex in told.items():
        if kind in ("gaussian-process", "trees", "sum-of-exponentials"):  # slow to fit, and no formula of one term
            assert convex == "no"
            continue
        found = LAWS[kind].fit(("a", "b", "c"), ("x", "y"), mixtures, losses).law.convex.all()
        assert convex == "not always" or (convex == "yes") == found, kind


@pytest.fixture
def their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Planted) -> pd.DataFrame:
    """Runs of three domains in the layouts of RegMix, Olmix and Data Mixing Laws, in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    scales = tuple((n, 1_048_576 * d) for n in (70_000_000, 160_000_000, 410_000_000) for d in (10_000, 20_000, 30_000))
    runs = planted(runs=16, noise=0.003, scales=scales)
    last = runs.drop_duplicates("mix.web", keep="last").reset_index(drop=True)
    domains, targets = ("web", "code", "books"), ("web", "code")
    key = pd.DataFrame({"index": range(len(last))})
    mixtures, losses = last[[f"mix.{d}" for d in domains]], last[[f"loss.{t}" for t in targets]]
    regmix = mixtures.rename(columns=lambda name: name.replace("mix.", "train_"))
    key.join(regmix).to_csv("train_mixture_1m.csv", index=False)
    regmix = losses.rename(columns=lambda name: name.replace("loss.", "metric/") + "_val_loss")
    key.join(regmix).iloc[::-1].to_csv("train_pile_loss_1m.csv", index=False)
    Path("swarm").mkdir()
    names = pd.DataFrame({"run": [f"r{n}" for n in range(len(last))], "name": "swarm", "index": range(len(last))})
    names.join(mixtures.rename(columns=lambda name: name[4:])).to_csv("swarm/ratios.csv", index=False)
    bits = losses.rename(columns=lambda name: name[5:] + "_bpb") / np.log(2)
    names.join(bits).iloc[::-1].to_csv("swarm/metrics.csv", index=False)
    sizes = {70_000_000: "70M", 160_000_000: "160M", 410_000_000: "410M"}
    rounded = runs[[f"mix.{d}" for d in domains]].round(4)
    rounded["mix.books"] = (1 - rounded["mix.web"] - rounded["mix.code"]).round(4).clip(lower=0)
    called = [
        f"{sizes[n]}-web{web:.4f}-code{code:.4f}-books{books:.4f}"
        for n, web, code, books in zip(runs["params"], *(rounded[f"mix.{d}"] for d in domains), strict=True)
    ]
    log = pd.DataFrame({"run": called, "step": runs["tokens"] // 1_048_576})
    log.join(runs[[f"loss.{t}" for t in targets]]).to_csv("log.csv", index=False)
    Path("natural.json").write_text(json.dumps({"web": 0.8, "code": 0.15, "books": 0.05}))
    Path("tokens.json").write_text(json.dumps({"web": 5e12, "code": 1e12, "books": 3e11}))
    return last


@pytest.mark.parametrize("system", ["RegMix", "Olmix", "Data Mixing Laws"])
def test_files_of_another_system_go_in_and_its_commands_run(their_files: pd.DataFrame, system: str) -> None:
    text = (DOCS / "migrating.md").read_text()
    section = next(part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part.startswith(f"{system}\n"))
    for words in commands(section):
        run(words)
    runs = pd.read_csv("runs.csv").sort_values("mix.web")
    if system != "Data Mixing Laws":
        expected = their_files.sort_values("mix.web")
        suffix = "_bpb" if system == "Olmix" else ""
        assert np.allclose(runs["mix.code"], expected["mix.code"])
        assert np.allclose(runs[f"loss.web{suffix}"], expected["loss.web"])


def test_the_log_linear_law_of_olmix_is_the_exponential_law(planted: Planted) -> None:
    frame = planted(runs=30)
    mixtures, losses = frame.filter(like="mix.").to_numpy(), frame["loss.web"].to_numpy()

    def residuals(theirs: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "np.ndarray":  # type: ignore[type-arg]
        return np.exp(theirs[0]) + np.exp(mixtures @ theirs[1:]) - losses

    theirs = least_squares(residuals, np.array([0.0, -0.5, -0.5, -0.5]), xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    ours = LAWS["exponential"].fit(("a", "b", "c"), ("web",), mixtures, losses[:, None]).law
    elsewhere = np.random.default_rng(1).dirichlet(np.ones(3), 50)
    assert np.allclose(ours.predict(elsewhere)[:, 0], np.exp(theirs[0]) + np.exp(elsewhere @ theirs[1:]), atol=1e-5)


ELSEWHERE = ("importing.md", "launch.md", "migrating.md", "reference.md")
DEMO = [page for page in PAGES if page.parent == DOCS and page.name not in ELSEWHERE]


@pytest.mark.slow
@pytest.mark.parametrize("page", [*DEMO, DOCS / "papers" / "data-mixing-laws.md"], ids=named)
def test_commands_and_python_run_in_the_study_of_the_repository(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree(ROOT / "runs" / "demo", tmp_path / "demo")
    monkeypatch.chdir(tmp_path / "demo")
    natural = {"cpp": 0.26, "docstrings": 0.04, "legal": 0.08, "python": 0.26, "tables": 0.18, "tests": 0.18}
    Path("natural.json").write_text(json.dumps(natural))
    for words in commands(page.read_text()):
        run(words)
    for block in blocks(page.read_text(), "python"):
        exec(compile(block, page.name, "exec"), {})
