"""What an importer is, and what it reads: runs with their settings and what they logged."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

STEP = "step"
"""The name under which every importer gives the step of a point, where the log has one."""

START = 8
"""Characters of an identifier that tell most runs apart."""

Point = Mapping[str, Any]
"""What was logged at one step, by name; numbers, or text where the log holds text."""


@dataclass(frozen=True)
class LoggedRun:
    """One run of a log, under the log's own names.

    Attributes:
        name: unique in the log.
        points: one a step where the log counts steps, in their order.
        settings: what holds for the whole run (its configuration), by dotted name: `{"mix.code": 0.5}`.
        unfinished: why the run counts as such ("crashed", "running"); empty if it ended well or the log cannot tell.
    """

    name: str
    points: tuple[Point, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    unfinished: str = ""


@dataclass(frozen=True)
class Log:
    """Everything an importer found.

    Attributes:
        source: for messages.
        runs: in a fixed order.
        rules: how the format itself names things, as `--map` would say it.
        notes: what the reader left out or mended.
    """

    source: str
    runs: tuple[LoggedRun, ...]
    rules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name that some run has among its settings or points, sorted."""
        found = {name for run in self.runs for name in run.settings}
        found |= {name for run in self.runs for point in run.points for name in point}
        return tuple(sorted(found))


@dataclass(frozen=True)
class Reading:
    """What the user said about reading, for the importers that need it.

    Attributes:
        run_column: the column that names the run, in tables.
        long: (column of names, column of values) of a long table; none for a wide one.
    """

    run_column: str = "run"
    long: tuple[str, str] | None = None


@dataclass(frozen=True)
class Importer:
    """One source of logs.

    Attributes:
        name: what `--from` takes.
        description: what it reads.
        recognises: whether a path is such a source; signatures only, never a guess.
        read: all runs of the sources.
    """

    name: str
    description: str
    recognises: Callable[[Path], bool]
    read: Callable[[tuple[str, ...], Reading], Log]


def merge_steps(points: Iterable[Point]) -> tuple[tuple[Point, ...], int]:
    """One point a step, in the order of steps; a value logged again at the same step replaces the earlier one.

    A restarted run logs some steps twice, and its own tools show the later values.

    Returns:
        The points, and how many values were replaced by different ones.
    """
    merged: dict[float, dict[str, Any]] = {}
    replaced = 0
    for point in points:
        held = merged.setdefault(point[STEP], {})
        replaced += sum(name in held and held[name] != value for name, value in point.items())
        held.update(point)
    return tuple(merged[step] for step in sorted(merged)), replaced


def add_to_last(points: Sequence[Point], values: Mapping[str, Any]) -> tuple[Point, ...]:
    """The points, the last with those of the values that none of them has; a point of these alone where there is none.

    For what a tool keeps of a run's end apart from its curves, such as a summary: mostly the last values once more.
    """
    logged = {name for point in points for name in point}
    alone = {name: value for name, value in values.items() if name not in logged}
    if not alone:
        return tuple(points)
    return (*points[:-1], {**(points[-1] if points else {}), **alone})


def unique_names(names: Iterable[tuple[str, str]]) -> list[str]:
    """Names of runs from (name, identifier): those that several runs share get the start of their identifier, or the
    whole of it where its start does not tell them apart."""
    pairs = list(names)
    shown = Counter(name for name, _ in pairs)
    starts = Counter((name, identifier[:START]) for name, identifier in pairs)
    return [
        name
        if shown[name] == 1
        else f"{name}-{identifier[:START] if starts[name, identifier[:START]] == 1 else identifier}"
        for name, identifier in pairs
    ]


def folder_names(folders: Sequence[Path], roots: Sequence[Path], *, short: bool = False) -> list[str]:
    """Names of runs that are folders: the first way of naming under which each has a name of its own.

    The path below its source, then the whole path; the folder's own name is tried before them if `short`, and stands
    for a folder that is a source itself.
    """
    own = [folder.resolve().name for folder in folders]
    below = [_below(folder, roots) or name for folder, name in zip(folders, own, strict=True)]
    ways = [*([own] if short else []), below, [folder.as_posix() for folder in folders]]
    return next((names for names in ways if len(set(names)) == len(names)), ways[-1])


def _below(folder: Path, roots: Sequence[Path]) -> str:
    root = next((root for root in roots if root != folder and root in folder.parents), None)
    return folder.relative_to(root).as_posix() if root else ""
