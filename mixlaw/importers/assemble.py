"""From a log to a run table: names become columns, steps become tokens, losses become nats, mixtures are looked up."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixlaw.errors import Refused
from mixlaw.importers.base import Log, LoggedRun
from mixlaw.importers.choices import Choices, Roles, choose_runs, listed, roles_of
from mixlaw.importers.likely import likely_count, likely_lists, likely_losses, likely_mixture, likely_unit
from mixlaw.importers.rows import rows_of, says_itself
from mixlaw.importers.units import LossUnit, in_nats
from mixlaw.mixture import ROUNDING
from mixlaw.runs import LOSS, MIX, RunTable, check_runs, with_whole_counts
from mixlaw.wording import counted, in_words

FIRST = ("run", "params", "tokens", "step", "seed", "lr", "group", "kind")
FEW = 1000
"""Params or tokens that no run has so few of."""

MAY_DIFFER = ("step", "lr")
"""What may differ between losses logged at the same number of tokens."""

PERHAPS = "; perhaps "
"""Before the flags that names suggest."""

EARLY, FEW_EARLY = 0.98, 0.25
"""Share of the tokens of a size's longest run below which one ended early, and of the runs of which that is odd."""

REMEDIES = {
    "tokens": "pass --tokens-per-step (steps are logged), --tokens, or --map tokens=NAME",
    "params": "pass --params, or --map params=NAME; they are non-embedding parameters",
    MIX: "pass --runs mixtures.csv with a row for each run, --map 'mix.*=NAME*', or --run-pattern",
}


def assemble(log: Log, choices: Choices) -> RunTable:
    """Make the run table, sorted by run and tokens, so that the same log always gives the same table.

    Raises:
        Refused: for what is missing, with ways to say it; for values that are no numbers; and as `check_runs` does.
    """
    columns = dict(roles_of(log, choices).columns)
    runs, left_out = choose_runs(log, choices)
    rows: list[dict[str, Any]] = []
    silent: list[str] = []
    for run in runs:
        said = rows_of(run, columns, choices)
        rows += said
        silent += [] if said else [run.name]
    if not rows:
        like = likely_losses(log.names)
        unit = "" if likely_unit(like) == LossUnit.NATS else f" --unit {likely_unit(like)}"
        raise Refused(f"{log.source}: {_no_loss(log, columns)}; say which names are losses, as in --map '{like}'{unit}")
    _check_complete(rows, columns)
    notes = [*log.notes, *left_out, *_about_names(runs, columns, choices), *_about_silence(silent)]
    notes += _about_units(columns, choices) + _about_counts(rows)
    frame = pd.DataFrame(rows)
    diverged = {str(row["run"]) for row in rows if _diverged(row)}
    for step in (_trained, _merge, _zeros):
        frame, more = step(frame)
        notes += more
    notes += _about_ends(frame)
    frame, more = in_nats(frame, choices.unit, choices.bytes_per_token)
    notes += more
    if diverged:
        notes.append(f"losses that are not finite were left blank in: {', '.join(sorted(diverged))}")
    table = check_runs(frame, source=log.source, renormalise=choices.renormalise)
    return RunTable(
        with_whole_counts(table.frame), table.domains, table.targets, table.source, notes=(*notes, *table.notes)
    )


def unsaid(log: Log, roles: Roles, choices: Choices) -> dict[str, str]:
    """What every row needs and neither the log's names nor the choices say, with ways to say it."""
    said = {*roles.columns, *(column for facts in choices.given.values() for column in facts)}
    said |= set(choices.pattern.columns) if choices.pattern is not None else set()
    said |= {"params"} if choices.params is not None else set()
    said |= {"tokens"} if choices.tokens is not None or choices.tokens_per_step is not None else set()
    lacking = [column for column in REMEDIES if not any(_is(name, column) for name in said)]
    return {_called(column): REMEDIES[column] + _proposed(column, log, roles) for column in lacking}


def likely_flags(log: Log, roles: Roles, choices: Choices) -> list[str]:
    """The flags that the log's names suggest for what is not said, to copy where they are right."""
    found = []
    if not any(column.startswith(LOSS) for column in roles.columns):
        rule = likely_losses(log.names)
        before, _, after = rule.partition("=")[2].partition("*")
        if "*" in rule and any(name.startswith(before) and name.endswith(after) for name in log.names):
            found.append(f"--map {shlex.quote(rule)}")
            found += [] if likely_unit(rule) == LossUnit.NATS else [f"--unit {likely_unit(rule)}"]
    said = unsaid(log, roles, choices)
    return [*found, *(remedy.split(PERHAPS)[1] for remedy in said.values() if PERHAPS in remedy)]


def _proposed(column: str, log: Log, roles: Roles) -> str:
    """The rule that the names suggest, in words; empty if none does."""
    rule = likely_mixture(log) if column == MIX else likely_count(column, roles.unused)
    if rule is None:
        return ""
    pair = likely_lists(log, rule) if column == MIX else None
    return PERHAPS + ("" if pair is None else f"--lists {shlex.quote(pair)} ") + f"--map {shlex.quote(rule)}"


def _is(name: str, column: str) -> bool:
    return name == column or (column == MIX and name.startswith(MIX))


def _called(column: str) -> str:
    return "mixture" if column == MIX else column


def _check_complete(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Refuse rows without tokens, params or mixture, naming their runs."""
    for column, remedy in REMEDIES.items():
        lacking = list(dict.fromkeys(str(row["run"]) for row in rows if not any(_is(name, column) for name in row)))
        if not lacking:
            continue
        if column == "tokens" and column in columns:
            remedy = (
                f"'{columns[column]}' is logged, but not where the losses are: --last-tokens takes what was last "
                f"logged before them; or {remedy}"
            )
        one = len(lacking) == 1
        who = f"run '{lacking[0]}' has" if one else f"{counted(len(lacking), 'run')} have"
        runs = len({str(row["run"]) for row in rows})
        which = "" if one else f" ({listed(lacking)})"
        more = f"; of {counted(runs, 'run')}, --except RUN leaves one out" if len(lacking) < runs else ""
        raise Refused(f"{who} no {_called(column)}, and it is not guessed{which}; {remedy}{more}")


def _about_units(columns: Mapping[str, str], choices: Choices) -> list[str]:
    """Losses that are called after another unit than the one they are taken in, in words."""
    logged = [name for column, name in columns.items() if column.startswith(LOSS)]
    other = next((name for name in logged if likely_unit(name) not in (LossUnit.NATS, choices.unit)), None)
    if other is None:
        return []
    return [
        f"'{other}' is taken as {choices.unit}, as is every loss; --unit {likely_unit(other)} if it is called rightly"
    ]


def _about_counts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Counts so small that they may be in millions, in words."""
    most = {column: max(row[column] for row in rows) for column in ("params", "tokens")}
    return [
        f"{column} are {value:g} at most, taken as they stand: if they are in millions or billions, write them out"
        for column, value in most.items()
        if 0 < value < FEW
    ]


def _about_ends(frame: pd.DataFrame) -> list[str]:
    """Runs that end before nearly all others of their size, as a crashed one does that its log does not call so."""
    early = []
    for _, ends in frame.groupby(["params", "run"])["tokens"].max().groupby(level="params"):
        short = ends[ends < EARLY * ends.max()]
        if len(short) <= FEW_EARLY * len(ends):
            most = in_words(ends.max())
            early += [f"{run} ({in_words(tokens)} of {most} tokens)" for (_, run), tokens in short.items()]
    said = f"ended before the others of its size: {listed(early)}; --except leaves out a run that crashed"
    return [said] if early else []


def _about_silence(silent: Sequence[str]) -> list[str]:
    """Runs that have none of the losses, in words."""
    return (
        [f"no loss of these is logged in {counted(len(silent), 'run')}, left out: {listed(silent)}"] if silent else []
    )


def _about_names(runs: Sequence[LoggedRun], columns: Mapping[str, str], choices: Choices) -> list[str]:
    """Runs that a pattern of names was not for, in words."""
    taken = sum(says_itself(run, columns, choices) for run in runs)
    if not taken:
        return []
    return [f"names not of --run-pattern in {counted(taken, 'run')}: the mixtures logged are taken"]


def _diverged(row: Mapping[str, Any]) -> bool:
    return any(column.startswith(LOSS) and not math.isfinite(value) for column, value in row.items())


def _no_loss(log: Log, columns: Mapping[str, str]) -> str:
    wanted = [name for column, name in columns.items() if column.startswith(LOSS)]
    if wanted:
        return f"the runs taken logged none of {', '.join(wanted)}"
    return f"no name is taken for a loss; there are: {', '.join(log.names[:40])}"


def _trained(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without the losses from before the first step."""
    before = frame["tokens"] == 0
    if before.all():
        raise Refused(
            "all losses are from before training: they are logged at 0 tokens; say which tokens or steps count"
        )
    notes = [f"{counted(int(before.sum()), 'point')} from before training (0 tokens) left out"] if before.any() else []
    return frame[~before], notes


def _merge(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """One row a run and token count: losses logged apart at the same point belong together.

    Raises:
        Refused: if they say different things.
    """
    frame = frame.sort_values(["run", "tokens"], kind="stable")
    points = frame.groupby(["run", "tokens"], sort=False)
    different = points.nunique().drop(columns=list(MAY_DIFFER), errors="ignore") > 1
    if different.to_numpy().any():
        place, column = np.argwhere(different.to_numpy())[0]
        run, tokens = different.index[place]
        here = frame[(frame["run"] == run) & (frame["tokens"] == tokens)]
        steps = list(here["step"].dropna().unique()) if "step" in here else []
        remedy = "keep one, or give repeats of a run their own names"
        if len(steps) > 1:
            where = listed([f"{step:g}" for step in steps], 4)
            remedy = f"they are of steps {where}: say the tokens of each step, with --tokens-per-step"
        raise Refused(f"run '{run}' has several values of {different.columns[column]} at {tokens:g} tokens; {remedy}")
    merged: pd.DataFrame = points.first().reset_index()
    names = [str(name) for name in merged.columns]
    rest = sorted((name for name in names if name not in FIRST), key=lambda name: (not name.startswith(MIX), name))
    return merged[[name for name in FIRST if name in names] + rest], []


def _zeros(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A domain that a run does not name has proportion 0, if those that it names make up its whole mixture."""
    columns = [str(name) for name in frame.columns if str(name).startswith(MIX)]
    proportions = frame[columns].astype(float)
    whole = (proportions.sum(axis=1) - 1).abs() <= ROUNDING
    blank = proportions.isna().mul(whole, axis=0)
    if not blank.to_numpy().any():
        return frame, []
    runs = frame.loc[blank.any(axis=1), "run"].nunique()
    note = f"not every domain is named in {counted(runs, 'run')}, and what is named sums to 1: the others are 0"
    return frame.assign(**{name: proportions[name].mask(blank[name], 0.0) for name in columns}), [note]
