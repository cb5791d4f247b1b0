"""What the runs measured."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mixlaw.mixture import Array
from mixlaw.report.figures.curves import Curve, ceiling, final_losses, loss_curves
from mixlaw.report.figures.fits import matrix
from mixlaw.report.page import Cell, Column, Drawing, Section, Table
from mixlaw.runs import RunTable
from mixlaw.surfaces.single import common_scale
from mixlaw.survey import Survey
from mixlaw.weights import weights_of
from mixlaw.wording import counted, in_words

AVERAGED = (
    "Every loss is that of a model averaged over the last steps of a training at a constant rate, which stands for a "
    "training that ended there."
)

TARGETS = "targets: all rows that measured one; losses and noise at each run's last checkpoint, nats per token"

HIGHLIGHTED = ("natural", "uniform")

SIGN_SURE = 0.95
"""How sure a rank correlation's sign must be to be set in full ink."""


def curves(runs: RunTable, weights: Mapping[str, float] | None, averaged: bool = False) -> Section:
    """Loss of every run against tokens, by model size; of runs with one checkpoint each, where they ended."""
    totals, what = _totals(runs, weights)
    found = _curves(runs, totals)
    figures = []
    if any(len(curve.tokens) > 1 for curve in found):
        top = ceiling(found)
        beyond = sum(bool((curve.losses > top).any()) for curve in found)
        above = f" {counted(beyond, 'run')} in part above {top:.2f}, where the axes end." if beyond else ""
        caption = f"{what[0].upper()}{what[1:]} of every run against tokens, by size.{above}"
        figures.append(Drawing.of(loss_curves(found), caption))
    params, tokens, part = common_scale(runs)
    at = f"{in_words(params)} parameters and {in_words(tokens)} tokens"
    ticks = final_losses(part.targets, part.losses)
    figures.append(Drawing.of(ticks, f"Losses of {counted(len(part), 'run')} at {at}: a tick a run, the least marked."))
    left = len(runs) - int(np.isfinite(totals).sum())
    missing = [f"{counted(left, 'checkpoint')} without the {what} not drawn."] if left else []
    return Section(
        title="Losses measured",
        paragraphs=[
            f"{counted(len(set(runs.runs)), 'run')}, {counted(len(runs), 'measured checkpoint')}.",
            *([AVERAGED] if averaged else []),
            *missing,
        ],
        figures=figures,
        tables=[_every_run(part)],
    )


def _totals(runs: RunTable, weights: Mapping[str, float] | None) -> tuple[Array, str]:
    """(n,) the weighted loss of each row, or the target that most rows have where hardly one has them all."""
    importance = weights_of(weights, runs.targets)
    counting = importance > 0
    totals = runs.losses[:, counting] @ importance[counting]
    measured = np.isfinite(runs.losses)
    most = int(measured.sum(axis=0).argmax())
    if np.isfinite(totals).sum() * 2 >= measured[:, most].sum():
        return totals, "weighted loss" if weights else "mean loss"
    return runs.losses[:, most], f"loss of {runs.targets[most]}"


def _curves(runs: RunTable, totals: Array) -> list[Curve]:
    groups = runs.frame["group" if "group" in runs.frame else "run"].astype(str)
    frame = pd.DataFrame({"run": runs.runs, "params": runs.params, "tokens": runs.tokens, "total": totals})
    found = []
    for _, rows in frame[np.isfinite(totals)].groupby("run", sort=True):
        rows = rows.sort_values("tokens")
        group = groups[rows.index[0]]
        name = group if group in HIGHLIGHTED else ""
        found.append(Curve(float(rows["params"].iloc[0]), rows["tokens"].to_numpy(), rows["total"].to_numpy(), name))
    return found


def _every_run(part: RunTable) -> Table:
    columns = [Column("run"), Column("params", ".0f"), Column("tokens", ".0f")]
    columns += [Column(f"mix.{domain}", ".3f") for domain in part.domains]
    columns += [Column(f"loss.{target}", ".4f") for target in part.targets]
    rows: list[list[Cell]] = [
        [str(run), float(params), float(tokens), *map(float, mixture), *map(float, losses)]
        for run, params, tokens, mixture, losses in zip(
            part.runs, part.params, part.tokens, part.proportions, part.losses, strict=True
        )
    ]
    return Table.of(columns, rows, caption="every run at this scale", folded=True)


def targets(found: Survey) -> Section:
    """What was measured of each target, and what would spoil a fit."""
    rows: list[list[Cell]] = [
        [target.target, float(target.measured), target.lowest, target.highest, target.noise] for target in found.targets
    ]
    columns = [Column("target"), Column("rows measured", ".0f"), Column("lowest", ".4f"), Column("highest", ".4f")]
    columns.append(Column("noise of repeats", ".4f"))
    scales: list[list[Cell]] = [
        [in_words(scale.params), float(scale.runs), float(scale.rows), scale.first_tokens, scale.last_tokens]
        for scale in found.scales
    ]
    sizes = [Column("params"), Column("runs", ".0f"), Column("checkpoints", ".0f")]
    sizes += [Column("first tokens", ",.0f"), Column("last tokens", ",.0f")]
    return Section(
        title="What is in the table",
        points=[*found.notes, *([] if found.problems else ["Nothing was found that would spoil a fit."])],
        warnings=found.problems,
        tables=[
            Table.of(sizes, scales, caption="sizes"),
            Table.of(columns, rows, caption=TARGETS),
        ],
    )


def associations(runs: RunTable) -> Section | None:
    """Which domain goes with a low loss in the runs as they are, before any law; None for too few mixtures."""
    _, _, part = common_scale(runs)
    ranks = np.full((len(part.domains), len(part.targets)), np.nan)
    sure = np.zeros(ranks.shape, dtype=bool)
    for column in range(len(part.targets)):
        known = np.isfinite(part.losses[:, column])
        if known.sum() < 5:
            continue
        for row in range(len(part.domains)):
            ranks[row, column], sure[row, column] = _rank(part.proportions[known, row], part.losses[known, column])
    if not np.isfinite(ranks).any():
        return None
    return Section(
        title="Which domain goes with a low loss",
        paragraphs=[
            "Rank correlation between a domain's proportion and each loss, run by run. Proportions sum to 1, so more "
            "of one domain is less of others: this shows what goes together, not what helps. A law tells those apart."
        ],
        figures=[
            Drawing.of(
                matrix(part.domains, part.targets, ranks, sure, 2, "Spearman's rank correlation"),
                "Blue: more of the domain (row) goes with a lower loss of the target (column). Pale type: chance could "
                "give as much.",
            )
        ],
    )


def _rank(proportion: Array, loss: Array) -> tuple[float, bool]:
    """Spearman's correlation, and whether its sign is told: 1.96 of the 1 / sqrt(n - 1) that chance spreads it by."""
    if np.ptp(proportion) == 0 or np.ptp(loss) == 0:
        return float("nan"), False
    found = float(np.corrcoef(rankdata(proportion), rankdata(loss))[0, 1])
    return found, abs(found) * np.sqrt(len(loss) - 1) > 1.96
