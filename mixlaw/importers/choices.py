"""What the user says about a log, and what that makes of its names and runs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mixlaw.errors import Refused, one_of
from mixlaw.importers.base import Log, LoggedRun
from mixlaw.importers.columns import Rule, parse_rule, resolve
from mixlaw.importers.names import NamePattern
from mixlaw.importers.units import LossUnit


@dataclass(frozen=True)
class Choices:
    """What the user said about a log; nothing of it is ever guessed.

    Attributes:
        rules: which logged name becomes which column.
        given: columns by run that do not stand in the log: mixtures, and params, tokens or seed if wanted.
        pattern: how a run's name says its mixture, params or seed.
        params: of every run that has none.
        tokens: of every row that has none, for logs of one checkpoint a run.
        tokens_per_step: of every run that counts no tokens.
        unit: of the losses.
        bytes_per_token: of the validation text, by target or for all; only bits per byte need it.
        only: names of the runs to take, `*` for any text; all if empty.
        excluded: names of runs to leave out, likewise.
        where: (name, value) that the runs to take have logged, `*` in the value for any text.
        last_tokens: a loss that is logged without tokens has those last logged before it.
        unfinished: take crashed and running runs too.
        renormalise: divide proportions by their sum, whatever it is.
    """

    rules: tuple[Rule, ...] = ()
    given: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pattern: NamePattern | None = None
    params: float | None = None
    tokens: float | None = None
    tokens_per_step: float | None = None
    unit: LossUnit = LossUnit.NATS
    bytes_per_token: float | Mapping[str, float] = 1.0
    only: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    last_tokens: bool = False
    unfinished: bool = False
    renormalise: bool = False

    def __post_init__(self) -> None:
        scales = self.bytes_per_token
        numbers = {"params": self.params, "tokens": self.tokens, "tokens per step": self.tokens_per_step} | {
            f"bytes per token{f' of {name}' if name else ''}": scale
            for name, scale in (scales.items() if isinstance(scales, Mapping) else [("", scales)])
        }
        for name, value in numbers.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise Refused(f"{name}: {value:g} was given; it must be a positive number")


@dataclass(frozen=True)
class Roles:
    """What a log's names will be: the logged name of each column, and names that become nothing."""

    columns: Mapping[str, str]
    unused: tuple[str, ...]


def roles_of(log: Log, choices: Choices) -> Roles:
    """Resolve names without reading a value: what `--show` shows."""
    assumed = tuple(parse_rule(rule) for rule in log.rules)
    columns = resolve(choices.rules, assumed, log.names, log.source)
    return Roles(columns, tuple(name for name in log.names if name not in columns.values()))


def parse_where(text: str) -> tuple[str, str]:
    """Read `NAME=VALUE`.

    Raises:
        Refused: for another form.
    """
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise Refused(f"'{text}' is not NAME=VALUE; write, say, mlflow.experiment=mixtures")
    return name, value


def choose_runs(log: Log, choices: Choices) -> tuple[tuple[LoggedRun, ...], tuple[str, ...]]:
    """The runs to take, and a note that names those that are unfinished and left out.

    Raises:
        Refused: if none is left.
    """
    wanted = list(log.runs)
    for name, value in choices.where:
        wanted = _where(wanted, name, value, log)
    for pattern in (*choices.only, *choices.excluded):
        if not any(_like(run.name, pattern) for run in wanted):
            raise Refused(f"no run is called like {pattern}; there are: {_listed(wanted)}")
    wanted = [run for run in wanted if not choices.only or any(_like(run.name, only) for only in choices.only)]
    wanted = [run for run in wanted if not any(_like(run.name, pattern) for pattern in choices.excluded)]
    if not wanted:
        raise Refused(f"--except leaves out every run: {_listed(log.runs)}; name fewer")
    taken = tuple(run for run in wanted if choices.unfinished or not run.unfinished)
    left = [run for run in wanted if run not in taken]
    if not taken:
        raise Refused(f"all runs are unfinished: {_listed(left)}; pass --unfinished to take them as they are")
    return taken, (f"left out as unfinished (--unfinished takes them): {_listed(left)}",) if left else ()


def listed(names: Sequence[str], shown: int = 12) -> str:
    """Names one after the other, the rest counted."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _where(runs: Sequence[LoggedRun], name: str, value: str, log: Log) -> list[LoggedRun]:
    """The runs that have logged a value like this one, and no other, under the name."""
    one_of(name, log.names, "name in the log")
    held = {run.name: _values(run, name) for run in runs}
    found = [run for run in runs if held[run.name] and all(_like(each, value) for each in held[run.name])]
    if not found:
        there = sorted({each for values in held.values() for each in values})
        raise Refused(f"no run has {name} like '{value}'; there are: {listed(there) or 'none'}")
    return found


def _values(run: LoggedRun, name: str) -> list[str]:
    if name in run.settings:
        return [str(run.settings[name])]
    return list(dict.fromkeys(str(point[name]) for point in run.points if name in point))


def _like(name: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def _listed(runs: Sequence[LoggedRun]) -> str:
    return listed([f"{run.name} ({run.unfinished})" if run.unfinished else run.name for run in runs])
