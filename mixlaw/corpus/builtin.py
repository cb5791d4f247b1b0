"""Text that is already on the machine: domains of different kinds, from the packages that are installed."""

import ast
import hashlib
import importlib.util
import inspect
import os
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mixlaw.corpus.readers import Skipped, cut

LARGEST_FILE_BYTES = 1 << 18
"""No file gives more text than this, so that no generated table or header is most of its domain."""

SHORTEST_DOCSTRING = 200
LIBRARIES = ("numpy", "scipy", "sklearn", "pandas", "matplotlib")
STANDARD_LIBRARY = "stdlib"
LEGAL = re.compile(r"licen[cs]e|copying|copyright|notice|authors|metadata|readme", re.IGNORECASE)
TEST = re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_[^/]*|conftest)\.py$")
COMMENTS = re.compile(r"(?:\s*(?://[^\n]*|/\*.*?\*/|#(?!\w)[^\n]*))*\s*", re.DOTALL)


@dataclass(frozen=True)
class Recipe:
    """Where one domain is found.

    Attributes:
        packages: import names; those not installed are left out.
        suffixes: of the files.
        tests: whether files of tests are the ones wanted (True), are left out (False) or do not matter (None).
        without: files in whose path this pattern is found are left out.
        extract: the documents of a file's text.
    """

    packages: tuple[str, ...]
    suffixes: tuple[str, ...]
    tests: bool | None
    extract: Callable[[str], Iterator[str]]
    without: str = "$^"


def code(text: str) -> Iterator[str]:
    """A Python module without its docstrings and without the comment it opens with, most often a licence."""
    lines = [line + "\n" for line in text.split("\n")]
    for found in _docstrings(text):
        first, last = found.statement.lineno - 1, found.statement.end_lineno or found.statement.lineno
        before = lines[first].encode()[: found.statement.col_offset].decode()
        after = lines[last - 1].encode()[found.statement.end_col_offset :].strip()
        if not before.strip() and (not after or after.startswith(b"#")):
            lines[first:last] = [f"{before}pass\n" if found.alone else "", *[""] * (last - first - 1)]
    yield COMMENTS.sub("", "".join(lines), count=1)


def docstrings(text: str) -> Iterator[str]:
    """The docstrings of a Python module, each a document; those shorter than SHORTEST_DOCSTRING are left out."""
    for found in _docstrings(text):
        if len(found.text) >= SHORTEST_DOCSTRING:
            yield inspect.cleandoc(found.text) + "\n"


def header(text: str) -> Iterator[str]:
    """A C or C++ header without the comment it opens with."""
    yield COMMENTS.sub("", text, count=1)


def whole(text: str) -> Iterator[str]:
    """A file as it is."""
    yield text


RECIPES = {
    "python": Recipe((*LIBRARIES, "torch", STANDARD_LIBRARY), (".py",), False, code),
    "tests": Recipe((*LIBRARIES, "sympy", "networkx"), (".py",), True, code),
    "docstrings": Recipe(LIBRARIES, (".py",), False, docstrings),
    "maths": Recipe(("sympy", "mpmath", "networkx"), (".py",), False, code),
    "cpp": Recipe(("torch", "pyarrow", "numpy"), (".h", ".hpp", ".cuh"), None, header, without="ATen/ops/"),
    "stubs": Recipe(("torch", "numpy"), (".pyi",), None, whole),
    "tables": Recipe(
        (*LIBRARIES, "torch", "torchgen"),
        (".csv", ".dat", ".afm", ".txt", ".json", ".yaml"),
        None,
        whole,
        without="LICENSE|random/tests/data/",
    ),
}
"""Domains whose kind of text differs. Left out are torch's `ATen/ops`, thousands of generated headers all alike, and
numpy's `random/tests/data`, numbers that nothing predicts."""

LEGAL_DOMAIN = "legal"
"""Licences, notices and readmes of everything installed: scarce by nature, some 2 MB."""


def builtin_domains(largest_bytes: int) -> dict[str, Iterator[str | Skipped]]:
    """Domains made from installed packages: no download, and the same for the same packages installed.

    Files are taken in the order of a hash of their path inside the package, so that a capped domain is a random part
    of what there is.

    Args:
        largest_bytes: a domain ends with the document that reaches it.

    Returns:
        By domain, its documents and what was skipped, to be read once. No text is in two domains but where two
        files hold the same, which the builder finds.
    """
    found = {name: _recipe_documents(recipe) for name, recipe in RECIPES.items()}
    found[LEGAL_DOMAIN] = _extracted(_legal_files(), whole)
    return {name: _at_most(documents, largest_bytes) for name, documents in found.items()}


def _recipe_documents(recipe: Recipe) -> Iterator[str | Skipped]:
    files: list[tuple[str, Path]] = []
    for package in recipe.packages:
        files += [
            (f"{package}/{name}", root / name)
            for root in _roots(package)
            for name in _walk(root)
            if name.endswith(recipe.suffixes)
            and not re.search(recipe.without, name)
            and recipe.tests in (None, bool(TEST.search(name)))
        ]
    yield from _extracted(files, recipe.extract)


def _legal_files() -> list[tuple[str, Path]]:
    """Licences and descriptions in the metadata folders of every installed distribution."""
    places = sorted({Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")})
    return [
        (f"{folder.name}/{name}", folder / name)
        for place in places
        for folder in sorted(place.glob("*.dist-info"))
        for name in _walk(folder)
        if LEGAL.search(name.rpartition("/")[2]) or name.startswith("licenses/")
    ]


def _extracted(files: list[tuple[str, Path]], extract: Callable[[str], Iterator[str]]) -> Iterator[str | Skipped]:
    for _, path in sorted(files, key=lambda file: hashlib.sha256(file[0].encode()).digest()):
        try:
            text = path.read_text(encoding="utf-8")
            if "\0" in text:
                yield Skipped("files binary")
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                documents = list(extract(text))
        except UnicodeDecodeError:
            yield Skipped("files not UTF-8")
        except OSError:
            yield Skipped("files unreadable")
        except (SyntaxError, RecursionError):
            yield Skipped("files not parsed")
        else:
            for document in documents:
                yield from (piece for piece in cut([document[:LARGEST_FILE_BYTES]]) if piece.strip())


def _at_most(documents: Iterator[str | Skipped], largest_bytes: int) -> Iterator[str | Skipped]:
    taken = 0
    for document in documents:
        yield document
        taken += len(document.encode()) if isinstance(document, str) else 0
        if taken >= largest_bytes:
            return


def _roots(package: str) -> list[Path]:
    """The folder of an installed package, found without importing it; none where it is not installed."""
    if package == STANDARD_LIBRARY:
        return [Path(sysconfig.get_path("stdlib"))]
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]


def _walk(root: Path) -> Iterator[str]:
    """Paths of all files below a folder, relative to it and with forward slashes."""
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ("__pycache__", "site-packages", "dist-packages")]
        inside = Path(place).relative_to(root)
        yield from ((inside / name).as_posix() for name in names)


class _Docstring(NamedTuple):
    """A docstring: its statement, its text, and whether it is all there is in its class or function."""

    statement: ast.Expr
    text: str
    alone: bool


def _docstrings(text: str) -> Iterator[_Docstring]:
    """The strings that modules, classes and functions begin with, wherever those stand."""
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):
            waiting.extend(getattr(node, part, ()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            match node.body[0]:
                case ast.Expr(value=ast.Constant(value=str(found))) as statement:
                    yield _Docstring(statement, found, len(node.body) == 1)
