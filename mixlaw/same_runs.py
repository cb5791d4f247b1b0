"""One training in several run tables, as one run: a log that has grown, or one that was copied."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mixlaw.errors import Refused
from mixlaw.mixture import SAME_MIXTURE, Array
from mixlaw.runs import LOSS, MIX, RunTable
from mixlaw.stages import FINAL, FINAL_SHARE
from mixlaw.wording import counted

AGREE = 1e-6
"""Nats by which two logs of one loss may differ: what a table of single precision rounds off."""

CLOSE = 1e-4
"""Nats within which half of two runs' losses lie only if they are one training, logged with fewer digits or in part
measured again: two trainings differ by a hundred times as much."""

Key = tuple[bytes, float, float, int, float]
"""Mixture, params, tokens, place of the target, loss."""

LISTED = 4
"""Runs named in a note before it leaves off."""


@dataclass(frozen=True)
class Log:
    """A run as one table has it: its checkpoints by tokens.

    Attributes:
        run, source: its name, and the table.
        params: non-embedding parameters.
        tokens: (c,) rising.
        mixture: of the run, proportions and those of a final phase in one array.
        losses: (c, V) over the targets of all tables; NaN = not measured.
        targets: V names.
    """

    run: str
    source: str
    params: float
    tokens: Array
    mixture: Array
    losses: Array
    targets: tuple[str, ...]


def each_once(tables: Sequence[RunTable]) -> tuple[list[RunTable], list[str]]:
    """Give every training to the first table that has it, with all checkpoints and losses that any table has of it.

    Two trainings never agree in every loss to the last digit. So runs that agree wherever both were measured are one
    training: under one name, or where one log holds all of the other. A run that branches off another agrees with it
    up to there; it keeps its own rows if it has its own name.

    Returns:
        The tables without the runs that earlier ones have, tables that are left empty left out; and notes.

    Raises:
        Refused: for a table that adds nothing, or a run whose logs contradict each other.
    """
    targets = list(dict.fromkeys(target for table in tables for target in table.targets))
    domains = list(dict.fromkeys(domain for table in tables for domain in table.domains))
    kept: list[RunTable] = []
    known: list[dict[str, Log]] = []
    notes: list[str] = []
    for table in tables:
        logs = _logs(table, domains, targets)
        pairs = [_shared(earlier, logs) for earlier in known]
        found = {run for pair in pairs for run in pair}
        grown = set()
        for place, pair in enumerate(pairs):
            adds = {run for run, name in pair.items() if _adds(known[place][name], logs[run])}
            if adds:
                kept[place] = _grown(kept[place], table, {run: pair[run] for run in adds})
                known[place] = _logs(kept[place], domains, targets)
            grown |= adds
        where = ", ".join(earlier.source for earlier, pair in zip(kept, pairs, strict=True) if pair)
        if found and len(found) == len(logs) and not grown:
            raise Refused(f"{table.source} adds nothing: every run of it is in {where} already")
        notes += _said(found - grown, f"of {table.source} in {where} already", "kept once")
        notes += _said(
            grown, f"of {table.source} in {where} too, with other checkpoints or losses", "joined to one each"
        )
        kept.append(table.where(~table.frame["run"].isin(found)))
        known.append({run: log for run, log in logs.items() if run not in found})
    return [table for table in kept if len(table)], notes


def _logs(table: RunTable, domains: list[str], targets: list[str]) -> dict[str, Log]:
    frame = table.frame.sort_values(["run", "tokens"], kind="stable")
    read = frame.reindex(columns=[*(MIX + name for name in domains), FINAL_SHARE, *(FINAL + name for name in domains)])
    mixtures, losses = read.fillna(0.0).to_numpy(), frame.reindex(columns=[LOSS + name for name in targets]).to_numpy()
    tokens, params = frame["tokens"].to_numpy(dtype=float), frame["params"].to_numpy(dtype=float)
    runs, first = np.unique(frame["run"].to_numpy(dtype=str), return_index=True)
    ends = [*first[1:].tolist(), len(frame)]
    return {
        str(run): Log(
            run=str(run),
            source=table.source,
            params=params[begin],
            tokens=tokens[begin:end],
            mixture=mixtures[end - 1],
            losses=losses[begin:end].astype(float),
            targets=tuple(targets),
        )
        for run, begin, end in zip(runs, first.tolist(), ends, strict=True)
    }


def _shared(earlier: dict[str, Log], logs: dict[str, Log]) -> dict[str, str]:
    """Runs that an earlier table has, with the names it has them by."""
    found = {run: run for run, log in logs.items() if run in earlier and _is_one(earlier[run], log)}
    taken = set(found)
    measured: dict[Key, list[str]] = {}
    for name, log in earlier.items():
        for key in _keys(log):
            measured.setdefault(key, []).append(name)
    for run, log in logs.items():
        if run in found:
            continue
        likely = Counter(name for key in _keys(log) for name in measured.get(key, ()) if name not in taken)
        for name, _ in likely.most_common():
            if _is_one(earlier[name], log):
                found[run] = name
                taken.add(name)
                break
    return found


def _keys(log: Log) -> list[Key]:
    """What logs of one training share: each measured loss by itself, since another table may hold fewer of them."""
    rows, columns = np.nonzero(np.isfinite(log.losses))
    losses, read = log.losses[rows, columns].round(9).tolist(), log.mixture.round(6).tobytes()
    return [(read, log.params, *key) for key in zip(log.tokens[rows].tolist(), columns.tolist(), losses, strict=True)]


def _is_one(first: Log, second: Log) -> bool:
    """Whether two logs are of one training.

    Raises:
        Refused: if they must be, by their names and most of their losses, and contradict each other.
    """
    if first.params != second.params or np.abs(first.mixture - second.mixture).sum() / 2 > SAME_MIXTURE:
        return False
    tokens, here, there = np.intersect1d(first.tokens, second.tokens, return_indices=True)
    apart = np.abs(first.losses[here] - second.losses[there])
    both = np.isfinite(apart)
    if not both.any():
        return False
    if (apart[both] <= AGREE).all():
        return first.run == second.run or len(tokens) == min(len(first.tokens), len(second.tokens))
    if first.run == second.run and np.median(apart[both]) <= CLOSE:
        row, column = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
        raise Refused(
            f"run '{first.run}' is in {first.source} and in {second.source}, and {int((apart[both] > AGREE).sum())} of "
            f"{int(both.sum())} losses that both have of it differ, most loss.{first.targets[column]} at "
            f"{tokens[row]:g} tokens: {first.losses[here][row, column]:.6f} and "
            f"{second.losses[there][row, column]:.6f}; keep the log that is right, or, if these are two trainings, "
            "give each a name of its own"
        )
    return False


def _adds(log: Log, later: Log) -> bool:
    """Whether a later log has a checkpoint or a loss that the first lacks."""
    _, here, there = np.intersect1d(log.tokens, later.tokens, return_indices=True)
    more = np.isfinite(later.losses[there]) & ~np.isfinite(log.losses[here])
    return len(there) < len(later.tokens) or bool(more.any())


def _grown(table: RunTable, later: RunTable, names: dict[str, str]) -> RunTable:
    """A table whose runs have the rows and losses of a later one too; `names` says what that calls each."""
    added = later.frame[later.frame["run"].isin([*names])]
    whole = pd.concat([table.frame, added.assign(run=added["run"].map(names))], ignore_index=True)
    order = pd.Series(range(len(whole))).groupby(whole["run"]).transform("min")
    touched = whole["run"].isin([*names.values()])
    rows = whole[touched].groupby(["run", "tokens"], as_index=False).first()[whole.columns]
    read = [name for name in whole.columns if name.startswith(MIX)]
    same = [*read, *(name for name in whole.columns if name.startswith(FINAL) or name == FINAL_SHARE)]
    # A run has one mixture, and where it is that of the tokens read so far the longest log knows it best.
    rows[read] = rows[read].fillna(0.0)
    rows[same] = rows[same].groupby(rows["run"]).transform("last")
    rows.index = pd.Index(order[touched].groupby(whole["run"]).first()[rows["run"]])
    whole = pd.concat([whole[~touched].set_index(order[~touched]), rows]).sort_index(kind="stable")
    return replace(table, frame=whole.reset_index(drop=True))


def _said(runs: set[str], where: str, what: str) -> list[str]:
    if not runs:
        return []
    listed = ", ".join(sorted(runs)[:LISTED]) + (", ..." if len(runs) > LISTED else "")
    return [f"{counted(len(runs), 'run')} {where} ({listed}); {what}"]
