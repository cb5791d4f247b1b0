"""The mixtures an optimum has to beat."""

from collections.abc import Mapping

import numpy as np

from mixlaw.errors import Refused
from mixlaw.fitting.fixed import is_fixed
from mixlaw.fitting.law import LawAtScale
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture

SAME = 6
"""Decimals to which two runs' proportions agree when they are repeats of one mixture."""


def baseline_mixtures(
    at: LawAtScale, limits: Limits, weights: Array, objective: str, given: Mapping[str, Mixture]
) -> tuple[dict[str, Array], list[str]]:
    """Natural, uniform, best measured, and those that are given, by name; and what could not be had, in words.

    The natural mixture is known only where available tokens are, or where it is given; it is never guessed.
    """
    domains, notes = at.law.domains, []
    found: dict[str, Array] = {}
    if limits.supply is not None:
        found["natural"] = limits.supply.natural()
    elif "natural" not in given:
        notes.append("the natural mixture is not known; give --available or --natural to compare with it")
    found["uniform"] = np.full(len(domains), 1 / len(domains))
    measured = best_measured(at, weights, objective)
    if measured is None:
        notes.append("no run measured every target that counts, so there is no best measured mixture to compare with")
    else:
        found["best measured"] = measured
    for name, mixture in given.items():
        try:
            found[name] = mixture.aligned(domains)
        except Refused as error:
            raise Refused(f"the {name} mixture: {error}") from None
    for domain, share in at.fixed.items():
        for name in [name for name, mixture in found.items() if not is_fixed(share, mixture[domains.index(domain)])]:
            notes.append(
                f"the {name} mixture has {found.pop(name)[domains.index(domain)]:.3g} of '{domain}', of which the law "
                f"knows only {share:.4g}: it cannot be compared with"
            )
    return found, notes


def best_measured(at: LawAtScale, weights: Array, objective: str) -> Array | None:
    """The mixture (M,) whose runs have the least mean objective; None if none measured every target that counts.

    Repeats of one mixture are averaged first: the single luckiest run is not the best mixture.
    """
    counted = weights > 0
    measured = ~np.isnan(at.losses[:, counted]).any(axis=1)
    if not measured.any():
        return None
    proportions, losses = at.proportions[measured], at.losses[measured][:, counted]
    scores = losses.max(axis=1) if objective == "worst" else losses @ weights[counted]
    _, first, group = np.unique(np.round(proportions, SAME), axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    means = np.bincount(group, scores) / np.bincount(group)
    best: Array = proportions[first[int(means.argmin())]]
    return best
