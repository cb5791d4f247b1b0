"""From a run table to a law."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixlaw import __version__
from mixlaw.choose import CANDIDATES, Candidate, choose, folds_of, held_out
from mixlaw.diagnose import diagnose
from mixlaw.errors import Refused, one_of
from mixlaw.law import Evidence, Law
from mixlaw.laws import LAWS
from mixlaw.mixture import Array
from mixlaw.runs import LOSS, MIX, RunTable
from mixlaw.surfaces import SURFACES
from mixlaw.surfaces.base import FitAtScale
from mixlaw.surfaces.curves import distinct
from mixlaw.surfaces.single import common_scale
from mixlaw.uncertainty import uncertainty_of
from mixlaw.wording import counted, in_words

FEWEST_MIXTURES = 4
"""Fewer mixtures than this say nothing that a prior does not; M + 2 are needed for the runs to decide."""
AUTO = "auto"


def fit(table: RunTable, law: str = AUTO, scale: str = AUTO, targets: Sequence[str] | None = None) -> Law:
    """Fit a law to measured runs.

    The answer does not depend on the order of rows, columns, domains or targets.

    Args:
        table: checked runs, from `read_runs` or `check_runs`.
        law: a kind of `mixlaw.laws.LAWS`, or "auto": the simplest that cross-validation over mixtures cannot tell from
            the best.
        scale: a name of `mixlaw.surfaces.SURFACES`, or "auto": "none" for runs of one size and token count.
        targets: which losses to fit; all by default.

    Raises:
        Refused: for runs that cannot support a law, saying how many and which are needed; for an unknown law, scale or
            target.
    """
    one_of(law, [AUTO, *LAWS], "law")
    one_of(scale, [AUTO, *SURFACES], "scale")
    table, notes = _in_order(table if targets is None else table.with_targets(targets))
    _check(table)
    scale = _scale_of(table) if scale == AUTO else scale
    if scale == "none":
        table, said = _at_common_scale(table)
        notes += said
    kind, candidates = _kind_of(table, law)
    surface = SURFACES[scale].fit(table, LAWS[kind])
    at = surface.at()
    folds = folds_of(at.groups)
    return Law(
        kind=at.fit.law.kind,
        surface=surface,
        evidence=Evidence.of(table),
        diagnostics=diagnose(
            at,
            uncertainty_of(at),
            _held_out(at, folds),
            _names(table, at),
            folds=int(folds.max()) + 1,
            candidates=candidates,
            notes=notes,
        ),
        version=__version__,
    )


def _in_order(table: RunTable) -> tuple[RunTable, list[str]]:
    """Put domains, targets and rows in an order of their own, and count runs that copy another once.

    Two trainings never agree to the last digit in every loss, so such a run is a copy of the log, not evidence.
    """
    domains, targets = sorted(table.domains), sorted(table.targets)
    columns = [*(MIX + name for name in domains), "params", "tokens", *(LOSS + name for name in targets)]
    frame = table.frame.dropna(subset=[LOSS + name for name in targets], how="all")
    notes = list(table.notes)
    if len(frame) < len(table):
        notes.append(f"{counted(len(table) - len(frame), 'row')} without any measured loss left out")
    frame = frame.sort_values([*columns, "run"], kind="stable").reset_index(drop=True)
    curves: dict[tuple[object, ...], str] = {}
    copies = []
    for run, rows in frame.groupby("run", sort=True):
        curve = tuple(rows[columns].fillna(-1.0).to_numpy().ravel().tolist())
        if curves.setdefault(curve, str(run)) != run:
            copies.append(str(run))
    if copies:
        notes.append(
            f"{counted(len(copies), 'run')} copy another in mixture and every loss ({', '.join(copies[:4])}"
            f"{', ...' if len(copies) > 4 else ''}); counted once"
        )
        frame = frame[~frame["run"].isin(copies)].reset_index(drop=True)
    return replace(table, frame=frame, domains=tuple(domains), targets=tuple(targets)), notes


def _check(table: RunTable) -> None:
    """Refuse runs that no law can be fitted to."""
    needed = (
        f"a law of {counted(len(table.domains), 'domain')} needs at least {FEWEST_MIXTURES} different mixtures, and "
        f"{len(table.domains) + 2} for the runs rather than priors to decide it"
    )
    runs, mixtures = len(set(table.runs)), len(set(table.mixtures))
    if not runs:
        raise Refused(f"{table.source}: no run has a measured loss; {needed}")
    if runs == 1:
        raise Refused(f"{table.source} holds one run, '{table.runs[0]}'; {needed}: train more mixtures")
    if mixtures == 1:
        raise Refused(f"{table.source}: all {runs} runs have the same mixture; {needed}: vary the proportions")
    if mixtures < FEWEST_MIXTURES:
        raise Refused(
            f"{table.source} holds {runs} runs of {mixtures} different mixtures; {needed}: train more mixtures"
        )
    for target, losses in zip(table.targets, table.losses.T, strict=True):
        known = ~np.isnan(losses)
        measured = len(set(table.mixtures[known]))
        if measured < FEWEST_MIXTURES:
            others = [other for other in table.targets if other != target]
            hint = f", or leave it out with --target {others[0]} ..." if others else ""
            raise Refused(
                f"{table.source}: target '{target}' is measured on {measured} of {mixtures} mixtures; {needed}: "
                f"measure it on more runs{hint}"
            )
        if np.ptp(losses[known]) == 0:
            raise Refused(
                f"{table.source}: target '{target}' is {losses[known][0]:g} in every row; no loss stays the same to "
                "the last digit: look at the log, or leave it out"
            )


def _scale_of(table: RunTable) -> str:
    """Runs of one size and token count need no surface; others are carried by exponents that mixtures share."""
    if len(distinct(table.params)) == 1 and len(distinct(table.tokens)) == 1:
        return "none"
    return "pooled" if "pooled" in SURFACES else "nested"


def _at_common_scale(table: RunTable) -> tuple[RunTable, list[str]]:
    params, tokens, part = common_scale(table)
    left = len(set(table.runs)) - len(part)
    if len(part) == len(table):
        return part, []
    return part, [
        f"one scale, {in_words(params)} params and {in_words(tokens)} tokens: {counted(len(part), 'run')} used"
        + (f", {counted(left, 'run')} not measured there left out" if left else "")
    ]


def _kind_of(table: RunTable, law: str) -> tuple[str, tuple[Candidate, ...]]:
    """The law that was named, or the one that measured losses at one scale choose."""
    if law != AUTO:
        return law, ()
    _, _, part = common_scale(table)
    kinds = [kind for kind in CANDIDATES if kind in LAWS]
    return choose((part.domains, part.targets), (part.proportions, part.losses), part.mixtures, kinds)


def _held_out(at: FitAtScale, folds: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Array | None:
    """Predictions without each run's mixture; None where a fold leaves too few runs, or the law cannot be refitted."""
    family = LAWS.get(at.fit.law.kind)
    if family is None:
        return None
    try:
        return held_out(family, (at.fit.law.domains, at.fit.law.targets), (at.proportions, at.losses), folds)
    except Refused:
        return None


def _names(table: RunTable, at: FitAtScale) -> list[str]:
    """A run for each row that a law at one scale rests on: of its mixture, repeats in the order of the table."""
    waiting: dict[bytes, list[str]] = {}
    last = table.last()
    for run, mixture in zip(last.runs, np.round(last.proportions, 6), strict=True):
        waiting.setdefault(mixture.tobytes(), []).append(str(run))
    rows = [waiting[mixture.tobytes()] for mixture in np.round(at.proportions, 6)]
    return [names.pop(0) if len(names) > 1 else names[0] for names in rows]
