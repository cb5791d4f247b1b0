"""What one run and its points say, as rows of a run table."""

import re
from collections.abc import Mapping
from typing import Any

from mixlaw.errors import Refused, one_of
from mixlaw.importers.base import STEP, LoggedRun, Point
from mixlaw.importers.choices import Choices
from mixlaw.runs import LOSS, MIX
from mixlaw.wording import from_words

ONCE = ("params", "seed", "group", "kind")
"""What a run has one of, so that it need not be logged at every point."""

TEXT = ("run", "seed", "group", "kind")


def rows_of(run: LoggedRun, columns: Mapping[str, str], choices: Choices) -> list[dict[str, Any]]:
    """One row a point that has a loss; what neither the run nor the choices say is absent.

    Args:
        run: of the log.
        columns: the logged name of each column.
        choices: what the user says.

    Raises:
        Refused: for a value that is no number, a name that is not of the pattern, or a run that `--runs` lacks.
    """
    points = [(point, read) for point, read in _with_tokens(run, columns, choices) if _has_loss(point, columns)]
    facts = _facts(run, columns, choices) if points else {}
    return [_row(run, point, facts, read, columns, choices) for point, read in points]


def says_itself(run: LoggedRun, columns: Mapping[str, str], choices: Choices) -> bool:
    """Whether a run's name is not of the pattern, but its settings hold a mixture and all else the pattern reads."""
    name, logged = _settings(run, columns)
    if choices.pattern is None or choices.pattern.fits(name):
        return False
    others = {column for column in choices.pattern.columns if not column.startswith(MIX)}
    return others <= logged.keys() and any(column.startswith(MIX) for column in logged)


def _facts(run: LoggedRun, columns: Mapping[str, str], choices: Choices) -> dict[str, Any]:
    """What holds for the whole run: what the user gave wins over its name, and its name over its settings."""
    name, logged = _settings(run, columns)
    named = choices.pattern is not None and not says_itself(run, columns, choices)
    said = choices.pattern.read(name) if choices.pattern is not None and named else {}
    if choices.given:
        said = {**said, **_given(str(said.get("run", name)), choices.given)}
    if any(column.startswith(MIX) for column in said):
        logged = {column: value for column, value in logged.items() if not column.startswith(MIX)}
    constant = {} if choices.params is None else {"params": choices.params}
    return {"run": name, **constant, **_same_everywhere(run, columns), **logged, **said}


def _same_everywhere(run: LoggedRun, columns: Mapping[str, str]) -> dict[str, Any]:
    """Params, mixture and the like from any point of the run, if all that log them agree: it was logged once."""
    found: dict[str, set[Any]] = {}
    for point in run.points:
        for column, name in columns.items():
            if name in point and (column.startswith(MIX) or column in ONCE):
                found.setdefault(column, set()).add(point[name])
    moves = any(column.startswith(MIX) and len(values) > 1 for column, values in found.items())
    return {
        column: next(iter(values))
        for column, values in found.items()
        if len(values) == 1 and not (moves and column.startswith(MIX))
    }


def _settings(run: LoggedRun, columns: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The name of a run, and what its settings say by column of the run table; a loss is never a setting."""
    logged = {
        column: run.settings[name]
        for column, name in columns.items()
        if name in run.settings and not column.startswith(LOSS)
    }
    return str(logged.pop("run", run.name)), logged


def _given(run: str, given: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    if run not in given:
        try:
            one_of(run, tuple(given), "run")
        except Refused as error:
            raise Refused(
                f"run '{run}' is logged but not in --runs: {error}; add it, or choose runs with --only and --except"
            ) from None
    return given[run]


def _has_loss(point: Point, columns: Mapping[str, str]) -> bool:
    return any(column.startswith(LOSS) and name in point for column, name in columns.items())


def _with_tokens(run: LoggedRun, columns: Mapping[str, str], choices: Choices) -> list[tuple[Point, Mapping[str, Any]]]:
    """Every point with the tokens last logged before it, if they are wanted; none are read before the first."""
    name = columns.get("tokens")
    if not choices.last_tokens or name is None or not any(name in point for point in run.points):
        return [(point, {}) for point in run.points]
    read: Mapping[str, Any] = {"tokens": 0}
    found = []
    for point in run.points:
        read = {"tokens": point[name]} if name in point else read
        found.append((point, read))
    return found


def _row(
    run: LoggedRun,
    point: Point,
    facts: Mapping[str, Any],
    read: Mapping[str, Any],
    columns: Mapping[str, str],
    choices: Choices,
) -> dict[str, Any]:
    """A row of the run table; what is logged at a point wins over what holds for the run, but for mixtures given."""
    given = any(column.startswith(MIX) for column in facts)
    logged = {
        column: point[name]
        for column, name in columns.items()
        if name in point and column != "run" and not (given and column.startswith(MIX))
    }
    row: dict[str, Any] = {**facts, **read, **logged}
    if STEP in point:
        row.setdefault("step", point[STEP])
    if "tokens" not in row and choices.tokens_per_step is not None and "step" in row:
        row["tokens"] = _number(row["step"], "step", run) * choices.tokens_per_step
    if "tokens" not in row and choices.tokens is not None:
        row["tokens"] = choices.tokens
    return {name: value if name in TEXT else _number(value, name, run) for name, value in row.items()}


def _number(value: Any, column: str, run: LoggedRun) -> float:
    """A number, also as people write it: 12%, 410M."""
    try:
        return float(value)
    except (TypeError, ValueError):
        meant = from_words(value) if isinstance(value, str) else None
    if meant is None:
        comma = isinstance(value, str) and re.fullmatch(r"\s*\d+,\d+\s*", value)
        mend = f"write {value.strip().replace(',', '.')}" if comma else "map another name to it"
        raise Refused(f"run '{run.name}': {column} is {value!r}, not a number; {mend}")
    return meant
