"""What is known before any run: a domain alone is about as bad for a target as the worst mixture measured.

Runs say little about domains they hardly contain, and a law is free to be absurd there (a loss of 1,000 nats, or -10).
Anchors at the vertices of the simplex, one per domain, keep it sane; they weigh sigma² / spread² of a run each, so they
decide what the runs leave open and nothing else. They move with a constant added to the losses.
"""

import numpy as np

from mixlaw.mixture import Array


def worst(losses: Array) -> Array:
    """(V,) the largest loss of each target, of losses (n, V) with NaN where not measured."""
    largest: Array = np.nanmax(losses, axis=0)
    return largest


def ranges(losses: Array) -> Array:
    """(V,) largest minus smallest loss of each target; a little above 0 where all are equal."""
    largest = np.nanmax(losses, axis=0)
    span: Array = np.maximum(largest - np.nanmin(losses, axis=0), 1e-9 * np.maximum(np.abs(largest), 1.0))
    return span


def reach(proportions: Array, losses: Array) -> Array:
    """How many times as far from the mean mixture each domain alone lies as the farthest run, (V, M).

    Of proportions (n, M) and losses (n, V): each target has the runs that it was measured on.
    """
    measured = np.isfinite(losses).T.astype(float)
    centre = measured @ proportions / measured.sum(axis=1, keepdims=True)
    offset = np.linalg.norm(proportions - centre[:, None, :], axis=2)
    farthest = np.max(measured * offset, axis=1)
    distance = np.linalg.norm(np.eye(proportions.shape[1]) - centre[:, None, :], axis=2)
    times: Array = distance / farthest[:, None]
    return times


def vertex_spread(losses: Array, domains: int, spread: float, fading: float = 0.0) -> Array:
    """Standard deviation (V, M) of the anchors at the vertices, nats per token.

    Args:
        losses: (n, V), NaN where not measured.
        domains: M.
        spread: in ranges of the losses, where there are as many runs as the M + 1 parameters of a plain law.
        fading: power of runs per parameter by which the spread grows; 0 keeps it.
    """
    runs_per_parameter = np.isfinite(losses).sum(axis=0) / (domains + 1)
    deviation = spread * runs_per_parameter**fading * ranges(losses)
    return np.repeat(deviation[:, None], domains, axis=1)
