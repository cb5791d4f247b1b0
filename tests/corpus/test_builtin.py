"""The built-in corpus: text of different kinds, from what is installed, no text twice."""

import ast
import asyncio
import email
import json
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from mixlaw.corpus.builtin import builtin_domains, code, docstrings, header
from mixlaw.corpus.readers import Skipped

CAP_BYTES = 150_000

MODULE = '''# Copyright: somebody
# All rights reserved.

"""What the module is for."""

import os

# a comment that stays
class Empty(Exception):
    """Nothing else is here, but that it is a sentence long enough to count as prose.""" + ""


class Alone:
    """Alone."""


def join(a, b):  # naïve
    """Join.

        Indented.
    """  # noqa: a remark
    text = """not a docstring"""
    return a + "\\x0c" + b; "neither"
'''


@pytest.fixture(scope="module")
def domains() -> dict[str, list[str]]:
    found = {}
    for name, documents in builtin_domains(CAP_BYTES).items():
        found[name] = [item for item in documents if not isinstance(item, Skipped)]
    return found


def test_there_are_six_kinds_or_more_and_each_is_capped(domains: dict[str, list[str]]) -> None:
    for name in ("python", "docstrings", "cpp", "legal", "tables", "stubs", "tests", "maths"):
        size = sum(len(text.encode()) for text in domains[name])
        assert CAP_BYTES <= size < CAP_BYTES + 40_000, name
        assert len(domains[name]) > 5, name


def test_the_same_packages_give_the_same_text(domains: dict[str, list[str]]) -> None:
    for name, documents in builtin_domains(CAP_BYTES // 4).items():
        again = [item for item in documents if not isinstance(item, Skipped)]
        assert again == domains[name][: len(again)], name


def test_hardly_a_text_is_in_two_domains(domains: dict[str, list[str]]) -> None:
    """The builder removes those that are; here it is the recipes that keep kinds apart."""
    places = Counter(text for documents in domains.values() for text in set(documents))
    assert sum(count > 1 for count in places.values()) <= 2


def test_code_loses_its_docstrings_and_first_comment_and_nothing_else() -> None:
    (stripped,) = code(MODULE)
    assert stripped.startswith("import os\n\n# a comment that stays\n")
    assert "somebody" not in stripped and "What the module" not in stripped and "Indented" not in stripped
    assert '"""not a docstring"""' in stripped and "# naïve" in stripped
    tree = ast.parse(stripped)
    assert not any(ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    kept = [type(node).__name__ for node in ast.walk(tree)]
    assert kept.count("ClassDef") == 2 and kept.count("Pass") == 1 and kept.count("Return") == 1


def test_docstrings_are_the_prose_and_only_the_long_ones() -> None:
    module = f'def f():\n    """Say.\n\n        {"word " * 60}\n    """\n\ndef g():\n    """Short."""\n'
    (found,) = docstrings(module)
    assert found.startswith("Say.\n\nword word") and found.endswith("word \n")


@pytest.mark.parametrize("comment", ["/* BSD\n * licence */\n\n", "// BSD\n// licence\n", "\n//\n/* a */ /* b */\n"])
def test_a_header_loses_the_comment_it_opens_with(comment: str) -> None:
    body = "#pragma once\n// stays\nint f(); /* stays */\n"
    assert list(header(comment + body)) == [body]


class WithoutDocstrings(ast.NodeTransformer):
    """Takes docstrings out of a syntax tree, with `pass` where nothing would be left."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                    node.body = rest or ([] if isinstance(node, ast.Module) else [ast.Pass()])
        return node


@pytest.mark.parametrize("package", [asyncio, email, json])
def test_code_without_docstrings_means_what_it_meant(package: ModuleType) -> None:
    """The syntax tree of what is left is the tree of the file with its docstrings taken out."""
    files = sorted(Path(str(package.__file__)).parent.glob("*.py"))
    assert len(files) > 4
    for file in files:
        text = file.read_text(encoding="utf-8")
        (left,) = code(text)
        assert ast.dump(ast.parse(left)) == ast.dump(WithoutDocstrings().visit(ast.parse(text))), file
