"""Which mixtures lie beyond the runs a law rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from mixlaw.mixture import Array
from mixlaw.wording import counted

FAR = 1.5
"""A proportion above this many times the largest one seen is far from the runs."""

ON_THE_HULL = 1e-4
"""Distance from the hull, in proportions, that rounding of a logged mixture explains."""

NAMED = 4
"""Mixtures and domains named in a warning before it counts the rest."""


@dataclass(frozen=True)
class Beyond:
    """How a mixture lies beyond the runs.

    Attributes:
        outside: whether no average of the runs' mixtures gives it.
        far: domain -> proportion over the largest proportion any run had, where that is above 1.5; infinite for a
            domain that no run trained on.
    """

    outside: bool
    far: Mapping[str, float]


def beyond(runs: Array, domains: Sequence[str], mixture: Array) -> Beyond:
    """Compare one mixture (M,) with the mixtures (n, M) of the runs.

    The hull is decided by non-negative least squares: a mixture is an average of the runs exactly if some non-negative
    combination of them, whose coefficients sum to 1, leaves no residual (Lawson & Hanson 1974).
    """
    largest = runs.max(axis=0)
    far = {
        domain: float(proportion / most) if most > 0 else float("inf")
        for domain, proportion, most in zip(domains, mixture, largest, strict=True)
        if proportion > FAR * most + ON_THE_HULL
    }
    return Beyond(outside=bool(far) or distance_from_hull(runs, mixture) > ON_THE_HULL, far=far)


def distance_from_hull(runs: Array, mixture: Array) -> float:
    """Distance of a mixture (M,) from the nearest average of the runs' mixtures (n, M), at most a few times too short.

    The sum of the coefficients is held at 1 by a row of its own, which every mixture meets since proportions sum to 1.
    """
    _, residual = nnls(np.vstack([runs.T, np.ones(len(runs))]), np.append(mixture, 1.0))
    return float(residual)


def extrapolations(runs: Array, domains: Sequence[str], mixtures: Mapping[str, Array]) -> tuple[str, ...]:
    """Say, for named mixtures (M,) each, which of them lie beyond the runs and how; nothing if none does."""
    found = {name: beyond(runs, domains, mixture) for name, mixture in mixtures.items()}
    outside = [name for name, what in found.items() if what.outside]
    said = []
    if outside:
        verb = "lies" if len(outside) == 1 else "lie"
        said.append(
            f"{len(outside)} of {counted(len(found), 'mixture')} {verb} outside the hull of the runs "
            f"({_named(outside)}): there the law extrapolates, and its interval holds only if its form does"
        )
    for number, domain in enumerate(domains):
        names = [name for name, what in found.items() if domain in what.far]
        if names:
            worst = max(mixtures[name][number] for name in names)
            said.append(
                f"'{domain}' reaches {worst:.3g} in {_named(names)}, above {FAR:g} times the largest proportion that "
                f"any run had ({runs[:, number].max():.3g})"
            )
    return tuple(said)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
