"""The README is run, not believed: its commands exist, its links lead somewhere, its Python and the package's runs."""

import pkgutil
import re
import shlex
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.main import get_command

import mixlaw
from mixlaw.cli.app import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "DECISIONS.md", ROOT / "CHANGELOG.md"]


def commands() -> list[list[str]]:
    blocks = "\n".join(re.findall(r"```(?:console|bash|sh)\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
    lines = (line.removeprefix("$ ").split("  #")[0].strip() for line in blocks.splitlines())
    return [shlex.split(line) for line in lines if line.startswith("mixlaw ")]


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words))
def test_every_command_in_the_readme_is_one_the_command_line_accepts(words: list[str]) -> None:
    group = get_command(app)
    verbs = group.commands  # type: ignore[attr-defined]
    assert words[1] in verbs, f"no verb {words[1]}"
    verbs[words[1]].make_context(words[1], list(words[2:]), resilient_parsing=False)


def test_the_readme_names_the_commands_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    called = set(re.findall(r"^make ([a-z-]+)", ci, re.MULTILINE))
    assert called and all(f"make {target}" in TEXT for target in called)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_pictures_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), f"{page.name} points to {link}"


def test_every_make_target_named_in_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"`make ([a-z-]+)`", page.read_text()):
            assert target in targets, f"{page.name} names make {target}"


def test_the_python_of_the_readme_and_of_the_package_runs_on_a_run_table(
    planted: Callable[..., pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scales = ((1_000_000, 10_000_000), (1_000_000, 40_000_000), (4_000_000, 40_000_000))
    planted(runs=12, scales=scales).to_csv("runs.csv", index=False)
    law = mixlaw.fit(mixlaw.read_runs("runs.csv"))  # once for both, which takes most of the time
    monkeypatch.setattr(mixlaw, "fit", lambda runs: law)
    of_the_readme = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    of_the_package = textwrap.dedent("\n".join(re.findall(r"^    .*$", mixlaw.__doc__ or "", re.MULTILINE)))
    for code in (*of_the_readme, f"import mixlaw\n{of_the_package}"):
        assert "mixlaw.optimize(" in code
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of paths that a blend still needs
            exec(compile(code, "example", "exec"), {})


def test_every_name_in_the_docstring_of_the_package_exists() -> None:
    named = re.findall(r"\bmixlaw((?:\.\w+)+)", mixlaw.__doc__ or "")
    assert len(named) >= 8
    for name in named:
        pkgutil.resolve_name(f"mixlaw{name}")
