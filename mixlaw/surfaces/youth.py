"""How far losses early in training are off the curve that they join later: asked of the runs themselves."""

from collections.abc import Callable

import numpy as np

from mixlaw.mixture import Array
from mixlaw.surfaces.shared_curve import (
    PRIOR_OF_TERMS,
    SIZE_EXPONENT,
    TARGETS_ALIKE,
    Cells,
    Rows,
    SharedCurve,
)

YOUTHS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Nats at half of the most tokens that are tried; at a share f of the most they are 1 / f - 1 times as many."""


def cells_by_youth(rows: Rows, weights: Array, noise: Array, curve_of: Callable[[Cells], SharedCurve]) -> Cells:
    """Sum the rows up with the error of young checkpoints under which the runs are most probable.

    No power law holds from the first step: a model learns which tokens are frequent before it learns anything a law
    speaks of, and a large one is slower to begin. Checkpoints of that time, few and exact, would bend the exponent that
    everything beyond the runs rests on. How long it lasts differs from study to study, so the error is chosen by its
    evidence (MacKay 1992): the probability of all losses with the curve's terms integrated out.

    Args:
        rows: n checkpoints.
        weights: (n, V) robust weights; 0 where not measured.
        noise: (V,) standard deviation of one checkpoint, nats per token.
        curve_of: fits the curve to cells.
    """
    best = Cells.of(rows, weights, noise)
    if len(set(best.tokens)) == 1:
        return best
    most = evidence(best, curve_of(best))
    for youth in YOUTHS[1:]:
        cells = Cells.of(rows, weights, noise, youth)
        found = evidence(cells, curve_of(cells))
        if found <= most:  # one peak is expected: an error is too small for the first checkpoints, or too large
            break
        best, most = cells, found
    return best


def evidence(cells: Cells, curve: SharedCurve) -> float:
    """Log probability of the cells and of the curve's exponents, its terms and all shared errors integrated out.

    Up to a constant that no youth changes; the targets count as the fewer independent ones that they are.
    """
    features = curve.features(cells.params, cells.tokens)
    share = 1 / (1 + TARGETS_ALIKE * (features.shape[1] - 1))
    total = 0.0
    for target, (precision, pull) in enumerate(zip(cells.from_mixtures, cells.pull_from_mixtures, strict=True)):
        slopes = features[:, target] * np.array(PRIOR_OF_TERMS)
        spread = cells.shared + slopes @ slopes.T
        both = np.eye(len(pull)) + precision @ spread
        total += share * (pull @ spread @ np.linalg.solve(both, pull) - np.linalg.slogdet(both)[1]) / 2
    for exponent, (median, deviation) in (
        (curve.size_exponent, SIZE_EXPONENT),
        (curve.token_exponent, cells.token_exponent),
    ):
        total -= float((np.log(exponent / median) ** 2).mean()) / (2 * deviation**2)
    return total
