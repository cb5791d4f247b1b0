"""What of a run table a law is fitted to: in an order of its own, each run once, and enough of them."""

from dataclasses import replace

import numpy as np

from mixlaw.design.spread import FEWEST_MIXTURES, runs_needed
from mixlaw.errors import Refused
from mixlaw.runs import LOSS, MIX, RunTable
from mixlaw.surfaces.single import common_scale
from mixlaw.wording import counted, in_shell, in_words

PERPLEXITY_LIKE, NO_LOSS = 12.5, 1000.0
"""Medians, nats per token, above which a loss is taken for a perplexity: an even guess among 268 thousand tokens costs
the first, and no other unit in use reaches the second. Fits of such numbers take minutes instead of moments."""


def of_one_mixture(table: RunTable) -> tuple[RunTable, list[str]]:
    """Leave out runs whose last part read another mixture.

    Their losses show an order of reading, not a mixture: taken for runs of what they read in all, they would bend the
    law towards whatever was read last. `mixlaw.optimize.recency` learns from them what order is worth.

    Raises:
        Refused: if no run is left.
    """
    staged = table.in_two_stages
    if not staged.any():
        return table, []
    if staged.all():
        raise Refused(
            f"{table.source}: every run has a final phase on another mixture (final_share); a law needs runs of one "
            "mixture throughout: add their table with mixlaw merge"
        )
    names = list(dict.fromkeys(map(str, table.runs[staged])))
    listed = f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    return table.where(~staged), [
        f"{counted(len(names), 'run')} with a final phase on another mixture left out ({listed}): they are evidence on "
        "schedules; see mixlaw schedule"
    ]


def in_order(table: RunTable) -> tuple[RunTable, list[str]]:
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


def perplexity_like(table: RunTable) -> list[str]:
    """Targets whose losses can hardly be cross-entropies in nats per token, in words.

    Raises:
        Refused: for losses so large that nothing else than perplexities is.
    """
    medians = {target: float(table.frame[LOSS + target].median()) for target in table.targets}
    said = {
        target: f"loss.{target} has median {median:.3g}: perplexity, not nats? take the logarithm"
        for target, median in medians.items()
        if median > PERPLEXITY_LIKE
    }
    worst = max(said, key=lambda target: medians[target], default=None)
    if worst is not None and medians[worst] > NO_LOSS:
        raise Refused(f"{table.source}: {said[worst]} (mixlaw import converts with --unit perplexity)")
    return [*said.values()]


def check_enough(table: RunTable) -> None:
    """Refuse runs that no law can be fitted to, with the first reason."""
    found = shortcomings(table)
    if found:
        raise Refused(found[0])


def check_comparable(table: RunTable) -> None:
    """Refuse runs by whose losses no law can be compared with another."""
    found = incomparable(table)
    if found:
        raise Refused(found)


def shortcomings(table: RunTable) -> list[str]:
    """Why no law can be fitted to these runs, in words; empty where one can."""
    needed = runs_needed(len(table.domains))
    runs, mixtures = len(set(table.runs)), len(set(table.mixtures))
    if len(table.domains) == 1:
        return [
            f"{table.source} has one domain, '{table.domains[0]}', which leaves nothing to mix; a law of mixtures "
            f"needs two or more columns {MIX}<domain>"
        ]
    if not runs:
        return [f"{table.source}: no run has a measured loss; {needed}"]
    if runs == 1:
        return [f"{table.source} holds one run, '{table.runs[0]}'; {needed}: train more mixtures"]
    if mixtures == 1:
        return [f"{table.source}: all {runs} runs have the same mixture; {needed}: vary the proportions"]
    if mixtures < FEWEST_MIXTURES:
        return [f"{table.source} holds {runs} runs of {mixtures} different mixtures; {needed}: train more mixtures"]
    found = [said for target in table.targets for said in _about_target(table, target, mixtures, needed)]
    return found or _unmoved(table)


def _about_target(table: RunTable, target: str, mixtures: int, needed: str) -> list[str]:
    losses = table.frame[LOSS + target].to_numpy(dtype=float)
    known = ~np.isnan(losses)
    if not known.any():
        return [f"{table.source}: target '{target}' is never measured; leave column {LOSS}{target} out"]
    measured = len(set(table.mixtures[known]))
    if measured < FEWEST_MIXTURES:
        return [
            f"{table.source}: target '{target}' is measured on {measured} of {mixtures} mixtures; {needed}: measure it "
            f"on more runs{_or_leave_it_out(table)}"
        ]
    if np.ptp(losses[known]) == 0:
        return [
            f"{table.source}: target '{target}' is {losses[known][0]:g} in every row; no loss stays the same to the "
            "last digit: look at the log, or leave it out"
        ]
    return []


def _unmoved(table: RunTable) -> list[str]:
    """Targets that no mixture moves where most mixtures were measured, though tokens or size do."""
    params, tokens, part = common_scale(table)
    same = [
        (target, losses[~np.isnan(losses)])
        for target, losses in zip(part.targets, part.losses.T, strict=True)
        if np.isfinite(losses).sum() > 1 and np.nanmax(losses) == np.nanmin(losses)
    ]
    return [
        f"{table.source}: target '{target}' is {losses[0]:g} in all {counted(len(losses), 'run')} at "
        f"{in_words(params)} params and {in_words(tokens)} tokens; no loss stays the same to the last "
        "digit: look at the log, or leave it out"
        for target, losses in same
    ]


def incomparable(table: RunTable) -> str:
    """Why no law can be compared with others though there are runs enough, in words; empty where one can.

    Laws of the mixture are compared by losses at one size and token count, which some surfaces do not need.
    """
    params, tokens, part = common_scale(table)
    there, every = len(set(part.mixtures)), len(set(table.mixtures))
    if there >= FEWEST_MIXTURES:
        return _unmeasured(table, part, f"{in_words(params)} params and {in_words(tokens)} tokens")
    return (
        f"{table.source}: no size and token count has losses of {FEWEST_MIXTURES} mixtures to compare laws by; "
        f"{in_words(params)} params and {in_words(tokens)} tokens has {there} of {every}: measure runs at common token "
        "counts, or name a surface that needs none, such as --scale additive"
    )


def _unmeasured(table: RunTable, part: RunTable, scale: str) -> str:
    """Which target is not measured at the scale that laws are compared at; empty where each is."""
    mixtures = part.mixtures
    for target, losses in zip(part.targets, part.losses.T, strict=True):
        measured = len(set(mixtures[np.isfinite(losses)]))
        if measured < FEWEST_MIXTURES:
            return (
                f"{table.source}: target '{target}' is measured on {counted(measured, 'mixture')} at {scale}, where "
                f"laws are compared: measure it on {FEWEST_MIXTURES} or more there{_or_leave_it_out(part)}"
            )
    return ""


def _or_leave_it_out(table: RunTable) -> str:
    """The flags that fit every target but those measured on too few mixtures of these rows; empty if that is none."""
    mixtures, known = table.mixtures, np.isfinite(table.losses)
    enough = [
        target
        for target, rows in zip(table.targets, known.T, strict=True)
        if len(set(mixtures[rows])) >= FEWEST_MIXTURES
    ]
    flags = " ".join(f"--target {in_shell(target)}" for target in enough)
    return f", or leave it out with {flags}" if flags else ""
