"""The runs a mixing law is fitted to: one row each, copies counted once, in an order of their own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixlaw.errors import Refused
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Measured:
    """Distinct runs, sorted, so that a fit does not depend on the order of the table to the last bit.

    Rows equal in every proportion and every loss are copies of one run (two trainings never agree to the last digit),
    so they count once: copying a row makes no law surer of itself. Repeats of a mixture that differ in loss all count.

    Attributes:
        proportions: (n, M), sorted, each row once.
        losses: (n, V), nats per token, NaN where not measured.
        row: for each row that was given, where it is here.
        copies: (n,) how often each row was given.
    """

    proportions: Array
    losses: Array
    row: NDArray[np.intp]
    copies: NDArray[np.intp]

    def spread(self, weights: Array) -> Array:
        """Weights (n, V) of the distinct runs, shared out equally over the copies of the rows that were given."""
        shared: Array = (weights / self.copies[:, None])[self.row]
        return shared


def distinct_runs(kind: str, targets: tuple[str, ...], proportions: Array, losses: Array, needed: int) -> Measured:
    """Sort the runs, count copies once, and refuse what cannot be fitted.

    Args:
        kind: the law's name, for the message.
        targets: V names.
        proportions: (n, M), rows sum to 1.
        losses: (n, V), nats per token, NaN where not measured.
        needed: fewest different mixtures a target must be measured on.

    Raises:
        Refused: naming the target, how many different mixtures it has, and how many are needed.
    """
    given = np.hstack([proportions, np.where(np.isfinite(losses), losses, -np.inf)])
    rows, back, copies = np.unique(given, axis=0, return_inverse=True, return_counts=True)
    mixed, found = rows[:, : proportions.shape[1]], rows[:, proportions.shape[1] :]
    for number, target in enumerate(targets):
        measured = np.isfinite(found[:, number])
        mixtures = len(np.unique(np.round(mixed[measured], 9), axis=0))
        if mixtures < needed:
            raise Refused(
                f"target '{target}' is measured on {mixtures} different mixture{'' if mixtures == 1 else 's'}; "
                f"the {kind} law needs at least {needed}: train more mixtures, or leave the target out"
            )
    return Measured(mixed, np.where(np.isfinite(found), found, np.nan), back.reshape(-1), copies)
