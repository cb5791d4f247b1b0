"""The law: how it was chosen, how it does on mixtures it has not seen, what it leaves, and what it says of domains."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from mixlaw.errors import Refused
from mixlaw.fitting.choose import folds_of, held_out
from mixlaw.fitting.choose_scale import ScaleCandidate
from mixlaw.fitting.diagnose import INTERVAL
from mixlaw.fitting.law import Law
from mixlaw.mixture import Array
from mixlaw.report.figures.fits import against_measured, matrix, residuals
from mixlaw.report.page import Cell, Column, Drawing, Section, Table
from mixlaw.wording import counted, in_words

POINT = 0.01
"""One percentage point."""

FEW = 5
"""Notes on targets that are shown without being asked for."""

PANELS = 24
"""Targets drawn one by one; the table has them all."""


@dataclass(frozen=True)
class Checked:
    """Predictions of the runs a law rests on, at its own scale.

    Attributes:
        predicted: (n, V) nats per token, from fits that did not see the run's mixture where `is_held_out`.
        half: (n, V) half-widths of 90% intervals of a run measured next.
        measured: (n, V); NaN = not measured.
        is_held_out: whether it is so; a law that is fitted to several scales at once is not refitted by folds.
    """

    predicted: Array
    half: Array
    measured: Array
    is_held_out: bool


def checked(law: Law) -> Checked:
    """Hold a law against its runs, by the folds that its diagnostics were made with."""
    scaled, at = law.at(), law.surface.at()
    one = at.fit.law
    leverage = np.clip(scaled.uncertainty.leverage(at.proportions), 0.0, 0.99)
    quantile = stdtrit(scaled.uncertainty.freedom, 0.5 + INTERVAL / 2)
    try:
        predicted = held_out(type(one), (one.domains, one.targets), (at.proportions, at.losses), folds_of(at.groups))
    except Refused:
        half = scaled.uncertainty.half_width(at.proportions, INTERVAL)
        return Checked(one.predict(at.proportions), half, at.losses, is_held_out=False)
    # A run of leverage h within the fit has h / (1 - h) outside it.
    half = quantile * np.sqrt(scaled.uncertainty.noise**2 / (1 - leverage) + scaled.uncertainty.scale_error**2)
    return Checked(predicted, half, at.losses, is_held_out=True)


def the_law(law: Law) -> Section:
    """What was fitted, how it was chosen, and how well it predicts."""
    at, found = law.at(), checked(law)
    known = np.isfinite(found.measured)
    inside = int((np.abs(found.measured - found.predicted) <= found.half)[known].sum())
    how = "predicted without their mixture" if found.is_held_out else "fitted"
    across = "at one scale" if law.scale == "none" else f"carried across scales by '{law.scale}'"
    return Section(
        title="The law",
        paragraphs=[
            f"Law '{law.kind}', {across}, fitted to {counted(law.evidence.runs, 'run')} of "
            f"{counted(law.diagnostics.mixtures, 'mixture')}. Shown at {in_words(at.params)} parameters and "
            f"{in_words(at.tokens)} tokens.",
            f"Of {int(known.sum())} losses {how}, {inside} ({inside / max(int(known.sum()), 1):.0%}) lie in their "
            f"{INTERVAL:.0%} interval.",
        ],
        points=law.diagnostics.notes,
        warnings=at.warnings,
        figures=[_panels(law, found), _left(law, found)],
        tables=[_targets(law), *_notes(law), *_candidates(law), *_scales(law)],
    )


def _panels(law: Law, found: Checked) -> Drawing:
    figures = []
    for place, target in enumerate(law.targets[:PANELS]):
        known = np.isfinite(found.measured[:, place])
        predicted, half, measured = (values[known, place] for values in (found.predicted, found.half, found.measured))
        figures.append(against_measured(target, predicted, half, measured, held_out=found.is_held_out))
    what = (
        "Predicted (across, with 90% interval) against measured (up), nats per token. Filled points are held out: each "
        "is predicted by a fit that did not see its mixture."
        if found.is_held_out
        else "Fitted (across, with 90% interval) against measured (up), nats per token. Hollow points are not held out."
    )
    more = f" {counted(len(law.targets) - PANELS, 'more target')} in the table." if len(law.targets) > PANELS else ""
    return Drawing.of(figures, f"{what} Orange diamonds lie outside their interval.{more}")


def _left(law: Law, found: Checked) -> Drawing:
    at = law.surface.at()
    rows = {
        mixture.tobytes(): name
        for mixture, name in zip(np.round(law.evidence.mixtures, 6), law.evidence.names, strict=True)
    }
    names = [rows.get(mixture.tobytes(), "") for mixture in np.round(at.proportions, 6)]
    figure = residuals(law.targets, found.measured - found.predicted, found.half, names)
    return Drawing.of(
        figure,
        "What the law leaves: measured less predicted, a tick a run; the band is the mean 90% interval, orange lies "
        "outside its own, and the farthest of those is named.",
    )


def _targets(law: Law) -> Table:
    columns = [Column("target"), Column("runs", ".0f"), Column("error held out", ".4f"), Column("R² held out", ".3f")]
    columns += [Column("rank held out", ".3f"), Column("noise of a run", ".4f"), Column("noise of repeats", ".4f")]
    columns.append(Column("90% ±", ".4f"))
    rows: list[list[Cell]] = [
        [
            target.target,
            float(target.runs),
            target.cv_rmse,
            target.r2,
            target.rank_correlation,
            target.noise,
            target.repeats_noise,
            target.half_width,
        ]
        for target in law.diagnostics.targets
    ]
    return Table.of(columns, rows, caption="targets, nats per token")


def _notes(law: Law) -> list[Table]:
    rows = [[target.target, note] for target in law.diagnostics.targets for note in target.notes]
    columns = [Column("target"), Column("note")]
    return [Table.of(columns, rows, "notes on single targets", folded=len(rows) > FEW)] if rows else []


def _candidates(law: Law) -> list[Table]:
    if not law.diagnostics.candidates:
        return []
    columns = [Column("law"), Column("parameters", ".0f"), Column("convex"), Column("1 - R² held out", ".4f")]
    columns += [Column("behind the best", ".4f"), Column("±", ".4f"), Column("")]
    rows: list[list[Cell]] = [
        [
            candidate.kind,
            float(candidate.parameters),
            "yes" if candidate.convex else "no",
            candidate.score,
            candidate.behind,
            candidate.doubt,
            f"refused: {candidate.refused}" if candidate.refused else "chosen" if candidate.kind == law.kind else "",
        ]
        for candidate in law.diagnostics.candidates
    ]
    return [Table.of(columns, rows, chosen=law.kind, caption="laws compared by cross-validation over mixtures")]


def _scales(law: Law) -> list[Table]:
    if all(way.rmse is None and not way.refused for way in law.diagnostics.scales):
        return []
    columns = [Column("way across scales"), Column("params ×", ".2f"), Column("tokens ×", ".2f")]
    columns += [Column("error", ".4f"), Column("bias", "+.4f"), Column("")]
    rows: list[list[Cell]] = [
        [
            way.scale,
            way.params_ratio,
            way.tokens_ratio,
            way.rmse,
            way.bias,
            _standing(way, law.scale),
        ]
        for way in law.diagnostics.scales
    ]
    caption = (
        "ways across scales, by predicting runs of so many times the params and tokens from smaller or shorter ones"
    )
    return [Table.of(columns, rows, chosen=law.scale, caption=caption)]


def _standing(way: ScaleCandidate, chosen: str) -> str:
    """What came of a way across scales, in words."""
    if way.refused:
        return f"refused: {way.refused}"
    said = ["chosen"] if way.scale == chosen else []
    return ", ".join([*said, "no backtest: too few sizes or checkpoints"] if way.rmse is None else said)


def who_helps(law: Law) -> Section:
    """The change of each target's loss for one more percentage point of each domain, with what the runs cannot tell."""
    at = law.at()
    effect, sure = effects(law)
    columns = [Column("domain"), *(Column(target, "+.5f") for target in law.targets)]
    rows: list[list[Cell]] = [[domain, *map(float, row)] for domain, row in zip(law.domains, effect, strict=True)]
    return Section(
        title="Which domain helps which target",
        paragraphs=[
            f"At the mean mixture of the runs, {in_words(at.params)} parameters and {in_words(at.tokens)} tokens: the "
            "change of each loss when a domain gets one more percentage point and the others give way in proportion."
        ],
        figures=[
            Drawing.of(
                matrix(law.domains, law.targets, 1000 * effect, sure, 1, "thousandths of a nat\nfor one point more"),
                "Blue: more of the domain (row) lowers the loss of the target (column). Pale type: the runs do not "
                f"tell the sign with {INTERVAL:.0%} confidence.",
            )
        ],
        tables=[Table.of(columns, rows, caption="nats per point", folded=True)],
    )


def effects(law: Law) -> tuple[Array, Array]:
    """Change (M, V) of each loss, nats, for one more percentage point of each domain, and whether its sign is told.

    A whole point is moved, not a slope taken, so that it is a difference of two predictions, whose error is known; a
    domain at nearly all of the mixture gets what is left.
    """
    at = law.at()
    centre = at.proportions.mean(axis=0)
    step = np.minimum(POINT, 1 - centre) / np.maximum(1 - centre, 1e-12)
    moved = centre + step[:, None] * (np.eye(len(centre)) - centre)
    base = np.repeat(centre[None], len(centre), axis=0)
    effect: Array = at.law.predict(moved) - at.law.predict(base)
    deviation = np.sqrt(np.maximum(np.einsum("mvv->mv", at.uncertainty.covariance(moved, base)), 0.0))
    quantile = stdtrit(at.uncertainty.freedom, 0.5 + INTERVAL / 2)
    # A black box has no parameters to doubt, so how sure it is of a difference is not known.
    is_known = at.uncertainty.by_runs.shape[1] > 0
    return effect, (np.abs(effect) > quantile * deviation) & is_known
