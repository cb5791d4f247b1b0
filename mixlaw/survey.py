"""What is in a run table, and what is wrong with it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlaw.design.spread import Spread, spread
from mixlaw.errors import Refused
from mixlaw.fitting.fixed import reason
from mixlaw.fitting.prepare import in_order, incomparable, of_one_mixture, perplexity_like, shortcomings
from mixlaw.runs import LOSS, MIX, RunTable
from mixlaw.wording import counted

RISE = 0.2
"""Nats by which a run's last loss may lie above its best before it is called diverged."""


@dataclass(frozen=True)
class Scale:
    """The runs of one model size.

    Attributes:
        params: non-embedding parameters.
        runs, rows: how many.
        first_tokens, last_tokens: range over all rows.
    """

    params: float
    runs: int
    rows: int
    first_tokens: float
    last_tokens: float


@dataclass(frozen=True)
class TargetSummary:
    """The losses of one target, nats per token.

    Attributes:
        target: its name.
        measured: rows that hold its loss.
        lowest, highest: over the last checkpoints of all runs; None where none of them was measured.
        noise: pooled standard deviation between runs of the same mixture, size and tokens; None without repeats.
    """

    target: str
    measured: int
    lowest: float | None
    highest: float | None
    noise: float | None


@dataclass(frozen=True)
class Survey:
    """A run table at a glance.

    Attributes:
        source, sha256: of the table.
        rows, runs, mixtures: how many.
        repeats: runs beyond the first of one mixture, size and tokens.
        scales: by size, smallest first.
        targets: in the order of the table.
        design: how far the mixtures of the runs tell domains apart.
        problems: why no law can be fitted, or none that means anything; empty where one can.
        notes: worth knowing.
    """

    source: str
    sha256: str
    rows: int
    runs: int
    mixtures: int
    repeats: int
    scales: tuple[Scale, ...]
    targets: tuple[TargetSummary, ...]
    design: Spread
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values; a condition that is not finite is null."""
        content = asdict(self)
        design = {
            key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in content["design"].items()
        }
        condition = self.design.condition
        return content | {"design": design | {"condition": condition if np.isfinite(condition) else None}}


def survey(table: RunTable) -> Survey:
    """Describe a run table and look for what would spoil a fit; `mixlaw check` prints it.

    Args:
        table: from `read_runs` or `check_runs`.

    Returns:
        What is in it; what is wrong with it is said in `problems` rather than refused.
    """
    last = table.last()
    by_run = table.frame.drop_duplicates("run")
    design = spread(by_run[[MIX + domain for domain in table.domains]].to_numpy(dtype=float), table.domains)
    repeats = last.frame.assign(mixture=last.mixtures).duplicated(["mixture", "params", "tokens"]).sum()
    return Survey(
        source=table.source,
        sha256=table.sha256,
        rows=len(table),
        runs=len(by_run),
        mixtures=len(set(table.mixtures)),
        repeats=int(repeats),
        scales=tuple(_scales(table)),
        targets=tuple(_target(table, last, target) for target in table.targets),
        design=design,
        problems=(*_unfit(table), *_no_cross_entropies(table)),
        notes=(*_diverged(table, last), *table.notes, *_remarks(table)),
    )


def _scales(table: RunTable) -> list[Scale]:
    return [
        Scale(float(params), len(set(rows.runs)), len(rows), float(rows.tokens.min()), float(rows.tokens.max()))
        for params in np.unique(table.params)
        for rows in [table.where(table.params == params)]
    ]


def _target(table: RunTable, last: RunTable, target: str) -> TargetSummary:
    final = last.frame[LOSS + target].dropna()
    lowest, highest = (float(final.min()), float(final.max())) if len(final) else (None, None)
    cells = last.frame.assign(mixture=last.mixtures).groupby(["mixture", "params", "tokens"])[LOSS + target]
    freedom = (cells.count() - 1).clip(lower=0)
    noise = None
    if freedom.sum() > 0:
        noise = float(np.sqrt((cells.var(ddof=1).fillna(0) * freedom).sum() / freedom.sum()))
    return TargetSummary(target, int(table.frame[LOSS + target].count()), lowest, highest, noise)


def _unfit(table: RunTable) -> list[str]:
    """Why `mixlaw fit` would refuse the table, if it would."""
    try:
        kept, _ = of_one_mixture(table)
    except Refused as error:
        return [str(error)]
    kept = in_order(kept)[0]
    found = shortcomings(kept)
    if not found and (said := incomparable(kept)):
        found = [said]
    unvaried = reason(kept) if len(set(kept.mixtures)) > 1 else ""
    return [*found, unvaried] if unvaried else found


def _no_cross_entropies(table: RunTable) -> list[str]:
    try:
        return perplexity_like(table)
    except Refused as error:
        return [str(error)]


def _diverged(table: RunTable, last: RunTable) -> list[str]:
    losses = table.frame.groupby("run")[[LOSS + target for target in table.targets]].min()
    final = last.frame.set_index("run")[losses.columns].loc[losses.index]
    rise: pd.Series = (final - losses).mean(axis=1)
    worst = rise[rise > RISE].sort_values(ascending=False)
    return [
        f"run '{run}' ends {value:.2g} nats above its best loss: it diverged, or its data are too few; leave it out"
        for run, value in worst.head(3).items()
    ]


def _remarks(table: RunTable) -> list[str]:
    remarks = []
    missing = {target: int(table.frame[LOSS + target].isna().sum()) for target in table.targets}
    missing = {target: count for target, count in missing.items() if 0 < count < len(table)}
    if missing:
        listed = ", ".join(f"{target} in {counted(count, 'row')}" for target, count in list(missing.items())[:4])
        remarks.append(f"not measured: {listed}{', ...' if len(missing) > 4 else ''}")
    ends = table.last().frame.groupby("params")["tokens"].nunique()
    if (ends > 1).any():
        remarks.append("runs of one size end at different token counts; compare them at common tokens")
    grids = table.frame.groupby("run")["tokens"].apply(lambda tokens: tuple(sorted(tokens))).nunique()
    if grids > 1:
        remarks.append(f"{grids} different grids of checkpoints")
    if table.in_two_stages.any():
        staged = table.frame.loc[table.in_two_stages, "run"].nunique()
        remarks.append(
            f"{counted(staged, 'run')} changed mixture on the way (final_share): no evidence for mixlaw fit, which "
            "leaves them out; mixlaw schedule reads them"
        )
    if "kind" in table.frame and table.frame["kind"].nunique() > 1:
        kinds = ", ".join(sorted(table.frame["kind"].dropna().astype(str).unique()))
        remarks.append(f"rows of several kinds ({kinds}); losses of different kinds are not on one curve")
    return remarks
