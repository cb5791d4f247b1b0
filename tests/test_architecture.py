"""The tree is the pipeline: the README's floor plan is what the imports do."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mixlaw"
MODULES = sorted(PACKAGE.rglob("*.py"))
OPTIONAL = {
    *("torch", "transformers", "tokenizers", "safetensors", "zstandard", "pyarrow", "lightgbm", "datasets"),
    *("wandb", "mlflow", "tensorboard", "google", "submitit", "ray", "numpy", "grain", "sklearn"),
}
"""Packages of the extras: the only ones a function may import (numpy.typing-like needs of them included). scikit-learn
is no extra, but one law for comparison uses it and it takes as long to import as all the rest."""


def floors() -> dict[str, int]:
    """Room -> floor, as the README draws it: `  name   what it is   floor`."""
    text = (ROOT / "README.md").read_text()
    plan = text[text.index("## Floor plan") :].split("```")[1]
    lines = re.findall(r"^  ([a-z_]+)(?:\.py|/) .*?(\d+)$", plan, re.MULTILINE)
    return {room: int(floor) for room, floor in lines}


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> list[tuple[str, bool, int]]:
    """(imported name, whether inside a function, line) of every import of a module."""
    found = []
    tree = ast.parse(module.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in inside, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno} imports by a relative name, which no floor plan can check"
            found += [(f"{node.module}.{alias.name}", id(node) in inside, node.lineno) for alias in node.names]
    return found


def test_every_room_stands_in_the_floor_plan_and_nothing_else_does() -> None:
    rooms = {room(module) for module in MODULES} - {"__init__"}
    assert rooms == set(floors())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(module: Path) -> None:
    plan, here = floors(), room(module)
    if here == "__init__":
        return
    for name, _, line in imports(module):
        if not name.startswith("mixlaw.") or name.split(".")[1] == here:
            continue
        there = name.split(".")[1]
        assert there == "__version__" or plan[there] < plan[here], (
            f"{module.name}:{line} ({here}, floor {plan[here]}) imports {name} (floor {plan[there]})"
        )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_import_only_optional_extras(module: Path) -> None:
    for name, inside, line in imports(module):
        trains = module.is_relative_to(PACKAGE / "cli") and name.startswith(
            ("mixlaw.train", "mixlaw.launch", "mixlaw.conduct")
        )
        draws = module.is_relative_to(PACKAGE / "cli") and name.startswith("mixlaw.report")
        joins = name == "mixlaw.train.parallel.parallel"  # takes nearly as long to import as torch; for torchrun alone
        allowed = name.split(".")[0] in OPTIONAL or trains or draws or joins
        assert not inside or allowed, f"{module.name}:{line} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_reads_or_writes_pickles(module: Path) -> None:
    names = {name.split(".")[0] for name, _, _ in imports(module)}
    assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    text = module.read_text()
    assert "allow_pickle=True" not in text and "torch.load(" not in text and "read_pickle" not in text


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_rooms(module: Path) -> None:
    names = {name.split(".")[0] for name, inside, _ in imports(module) if not inside}
    here = room(module)
    assert "torch" not in names or here in ("train", "launch")
    assert "matplotlib" not in names or here == "report"


def test_importing_mixlaw_pulls_in_neither_torch_nor_matplotlib() -> None:
    code = "import sys, mixlaw, mixlaw.cli.app; print({'torch', 'matplotlib', 'transformers'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_type_checkers_of_users_read_our_types() -> None:
    """Without this file they take everything of an installed package for `Any` (PEP 561)."""
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("name", ["utils", "common", "helpers", "types", "misc"])
def test_no_drawer_for_odds_and_ends(name: str) -> None:
    assert not [module for module in MODULES if module.stem == name]


def test_no_two_files_of_tests_have_one_name() -> None:
    """Without packages of tests, pytest imports each by its name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert not {name for name in names if names.count(name) > 1}
