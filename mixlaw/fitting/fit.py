"""From a run table to a law."""

from collections.abc import Sequence

import numpy as np

from mixlaw.errors import Refused, one_of
from mixlaw.fitting.asked import AUTO, Asked
from mixlaw.fitting.choose import CANDIDATES, Candidate, choose, folds_of, held_out
from mixlaw.fitting.choose_scale import ONE_SCALE, backtested, choose_scale, is_one_scale
from mixlaw.fitting.diagnose import diagnose
from mixlaw.fitting.fixed import fixed_in, said_of
from mixlaw.fitting.law import Evidence, Law
from mixlaw.fitting.prepare import check_comparable, check_enough, in_order, of_one_mixture, perplexity_like
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces import SURFACES
from mixlaw.surfaces.base import FitAtScale
from mixlaw.surfaces.carried import CarriedSurface
from mixlaw.surfaces.single import Single, common_scale
from mixlaw.version import __version__
from mixlaw.wording import counted, in_words


def fit(
    table: RunTable,
    law: str = AUTO,
    scale: str = AUTO,
    targets: Sequence[str] | None = None,
    fixed: Sequence[str] = (),
) -> Law:
    """Fit a law to measured runs.

    The answer does not depend on the order of rows, columns, domains or targets.

    Args:
        table: checked runs, from `read_runs` or `check_runs`.
        law: a kind of `mixlaw.laws.LAWS`, or "auto": the simplest that cross-validation over mixtures cannot tell from
            the best.
        scale: a name of `mixlaw.surfaces.SURFACES`, or "auto": "none" for runs of one size and token count, and for
            others what backtests choose.
        targets: which losses to fit; all by default.
        fixed: domains of one proportion in every run, for a law that holds only there.

    Raises:
        Refused: for runs that cannot support a law, saying how many and which are needed; for losses that are
            perplexities; for a domain that never varied and is not fixed; for an unknown law, scale or target.
    """
    one_of(law, [AUTO, *LAWS], "law")
    one_of(scale, [AUTO, *SURFACES], "scale")
    asked = Asked(law, scale, None if targets is None else tuple(targets), table.renormalised)
    table, staged = of_one_mixture(table if targets is None else table.with_targets(targets))
    table, notes = in_order(table)
    notes += [*staged, *perplexity_like(table)]
    check_enough(table)
    if scale == AUTO and is_one_scale(table):
        scale = ONE_SCALE
    if scale == ONE_SCALE:
        table, said = _at_common_scale(table)
        notes += said
    held = fixed_in(table, fixed)
    notes += said_of(held)
    kind, candidates = _kind_of(table, law, scale)
    if scale == AUTO:
        surface, scales = choose_scale(table, LAWS[kind])
    else:
        surface = SURFACES[scale].fit(table, LAWS[kind])
        scales = backtested(surface)
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
            scales=scales,
            notes=notes,
        ),
        version=__version__,
        fixed=held,
        asked=asked,
    )


def _at_common_scale(table: RunTable) -> tuple[RunTable, list[str]]:
    check_comparable(table)
    params, tokens, part = common_scale(table)
    left = len(set(table.runs)) - len(part)
    if len(part) == len(table):
        return part, []
    return part, [
        f"one scale, {in_words(params)} params and {in_words(tokens)} tokens: {counted(len(part), 'run')} used"
        + (f", {counted(left, 'run')} not measured there left out" if left else "")
    ]


def _kind_of(table: RunTable, law: str, scale: str) -> tuple[str, tuple[Candidate, ...]]:
    """The law that was named, or the one that measured losses at one scale choose."""
    if scale != AUTO and not issubclass(SURFACES[scale], Single | CarriedSurface):
        if law != AUTO:
            raise Refused(f"the {scale} surface brings its own law of the mixture; leave --law {law} out")
        return next(iter(LAWS)), ()
    if law != AUTO:
        return law, ()
    check_comparable(table)
    _, _, part = common_scale(table)
    kinds = [kind for kind in CANDIDATES if kind in LAWS]
    return choose((part.domains, part.targets), (part.proportions, part.losses), part.mixtures, kinds)


def _held_out(at: FitAtScale, folds: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Array | None:
    """Predictions without each run's mixture; None where a fold leaves too few runs, or the law cannot be refitted."""
    law = at.fit.law
    try:
        return held_out(type(law), (law.domains, law.targets), (at.proportions, at.losses), folds)
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
