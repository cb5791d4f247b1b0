"""Bring any mixture into the limits, and round it there."""

import numpy as np
from scipy.optimize import linprog

from mixlaw.limits import Limits
from mixlaw.mixture import Array

SMALLEST = 1e-12
"""Stands for a proportion of 0 where a domain has to grow by a factor to reach its floor."""

BISECTIONS = 100


def within(proportions: Array, limits: Limits) -> Array:
    """Move mixtures into the limits, changing them as little as can be.

    Floors and caps: the nearest mixture in relative entropy, `clip(c x, floor, cap)` with the one c that makes it sum
    to 1. Nothing is rejected, however tight the caps, and a draw beyond a cap lands on it, which is where optima lie.
    Rows: pulled straight towards a central mixture until the last row holds.

    Args:
        proportions: (n, M), rows at least 0 with a positive sum.
        limits: feasible limits on the same M domains.

    Returns:
        (n, M), each row within the limits.
    """
    inside = _into_box(proportions / proportions.sum(axis=1, keepdims=True), limits.floor, limits.cap)
    if not len(limits.rows):
        return inside
    centre = _centre(limits)
    room = limits.bounds - limits.rows @ centre
    approach = (inside - centre) @ limits.rows.T
    crossing = approach > np.maximum(room, 0)
    share = np.where(crossing, np.maximum(room, 0) / np.where(crossing, approach, 1.0), 1.0).min(axis=1)
    pulled: Array = centre + share[:, None] * (inside - centre)
    return pulled


def rounded_within(proportions: Array, limits: Limits, decimals: int) -> Array:
    """Round a mixture (M,) to `decimals` by largest remainder, without crossing a limit.

    Where limits leave no mixture with so few decimals, the mixture is returned as it is.
    """
    scale = 10**decimals
    least = np.maximum(np.ceil(limits.floor * scale - 1e-9), 0.0) + 0.0  # no negative zero
    most = np.floor(limits.cap * scale + 1e-9)
    units = np.clip(np.floor(proportions * scale), least, most)
    excess = proportions * scale - units
    for _ in range(len(units)):
        lacking = round(scale - units.sum())
        step = 1.0 if lacking > 0 else -1.0
        open_to_change = np.flatnonzero(units < most if lacking > 0 else units > least)
        if not lacking or not len(open_to_change):
            break
        order = open_to_change[np.argsort(-step * excess[open_to_change], kind="stable")][: abs(lacking)]
        units[order] += step
        excess[order] -= step
    candidate: Array = units / scale
    return candidate if units.sum() == scale and limits.allows(candidate) else proportions


def _into_box(proportions: Array, floor: Array, cap: Array) -> Array:
    if ((proportions >= floor) & (proportions <= cap)).all():
        return proportions
    start = np.maximum(proportions, SMALLEST)
    low = np.full((len(start), 1), np.log(SMALLEST))
    high = np.full((len(start), 1), -np.log(SMALLEST))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        above = np.clip(np.exp(middle) * start, floor, cap).sum(axis=1, keepdims=True) > 1
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    inside: Array = np.clip(np.exp(low) * start, floor, cap)
    room = cap - inside
    lacking = 1 - inside.sum(axis=1, keepdims=True)
    filled: Array = inside + lacking * room / np.maximum(room.sum(axis=1, keepdims=True), SMALLEST)
    return filled


def _centre(limits: Limits) -> Array:
    """The mixture with most slack to every limit, relative to each domain's width: a linear program."""
    count = len(limits.domains)
    width = limits.cap - limits.floor
    identity = np.eye(count)
    above_floor = np.column_stack([-identity, width])
    below_cap = np.column_stack([identity, width])
    rows = np.column_stack([limits.rows, np.abs(limits.rows) @ np.maximum(width, SMALLEST)])
    answer = linprog(
        np.append(np.zeros(count), -1.0),
        np.vstack([above_floor, below_cap, rows]),
        np.concatenate([-limits.floor, limits.cap, limits.bounds]),
        np.append(np.ones(count), 0.0)[None],
        [1.0],
        (None, None),
    )
    if answer.status != 0:
        raise RuntimeError(f"limits that were checked have no centre: {answer.message}")
    centre: Array = answer.x[:count]
    return centre
