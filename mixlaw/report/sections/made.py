"""How a page was made: hashes, versions, commands."""

import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path

from mixlaw.files import sha256
from mixlaw.fitting.asked import Asked
from mixlaw.report.page import Section
from mixlaw.version import __version__

NUMERICAL = ("numpy", "scipy", "pandas")
"""Packages whose versions the numbers may depend on in the last digits."""


def reported(path: Path, files: Mapping[str, Path]) -> str:
    """The command that makes the page of a file, with the file that each flag named."""
    flags = [word for flag, file in files.items() for word in (f"--{flag}", file.name)]
    return shlex.join(["mixlaw", "report", path.name, *flags])


def fitted(asked: Asked, fixed: Iterable[str], runs: Path | str, law: Path | str) -> str:
    """The command that fits a law as it was asked for."""
    return shlex.join(["mixlaw", "fit", Path(runs).name, *asked.flags(fixed), "-o", Path(law).name])


def made(files: Sequence[Path], facts: Mapping[str, str], commands: Sequence[str]) -> Section:
    """What a reader needs to make the same page.

    Args:
        files: that the page was made from; those that are absent are left out.
        facts: more to be said, by name.
        commands: in order.
    """
    hashes = {f"{path.name}, sha256": sha256(path) for path in files if path.is_file()}
    versions = ", ".join(f"{name} {installed(name)}" for name in NUMERICAL)
    return Section(
        title="How it was made",
        facts={"mixlaw": __version__, "on": f"Python {platform.python_version()}, {versions}", **facts, **hashes},
        code="\n".join(commands),
    )
