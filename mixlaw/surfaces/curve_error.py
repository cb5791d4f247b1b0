"""How sure the curve of an average mixture is at a scale beyond the runs."""

import numpy as np

from mixlaw.mixture import Array
from mixlaw.surfaces.shared_curve import (
    PRIOR_OF_TERMS,
    SIZE_EXPONENT,
    TARGETS_ALIKE,
    Cells,
    SharedCurve,
)


def curve_covariance(cells: Cells, curve: SharedCurve, *, interaction: bool, shared_exponents: bool) -> Array:
    """Covariance (V, 6, 6) of E, A, B, C, log alpha and log beta: Laplace's approximation at the fitted curve.

    The errors that all mixtures share are in the cells' information, so many runs at two sizes leave the size exponent
    as unsure as its prior. What targets that share their exponents say of them is added up, less what they say in
    common.

    Args:
        cells: the runs the curve was fitted to.
        curve: the fitted curve.
        interaction: whether it has the product term.
        shared_exponents: whether all targets share the exponents.
    """
    slopes = _gradient(curve, cells.params, cells.tokens)
    slopes[:, :, 3] *= interaction
    information = slopes.transpose(1, 2, 0) @ cells.information @ slopes.transpose(1, 0, 2)
    terms = information[:, :4, :4] + np.diag(np.array(PRIOR_OF_TERMS) ** -2)
    cross = information[:, :4, 4:]
    response = np.linalg.solve(terms, cross)
    exponents = information[:, 4:, 4:] - cross.transpose(0, 2, 1) @ response
    if shared_exponents:
        alike = 1 / (1 + TARGETS_ALIKE * (len(exponents) - 1))
        exponents = np.repeat(alike * exponents.sum(axis=0, keepdims=True), len(exponents), axis=0)
    spread = np.linalg.inv(exponents + np.diag([SIZE_EXPONENT[1] ** -2, cells.token_exponent[1] ** -2]))
    covariance = np.zeros((len(spread), 6, 6))
    moved = response @ spread
    covariance[:, :4, :4] = np.linalg.inv(terms) + moved @ response.transpose(0, 2, 1)
    covariance[:, :4, 4:] = -moved
    covariance[:, 4:, :4] = -moved.transpose(0, 2, 1)
    covariance[:, 4:, 4:] = spread
    return covariance


def curve_deviation(curve: SharedCurve, covariance: Array, params: float, tokens: float) -> Array:
    """(V,) standard deviation, by the delta method, of how far the curve falls from the largest scale measured.

    The level itself is that of the mixtures that were run, which is measured; what is unsure is the way from there.
    Nats per token.
    """
    scales = np.array([params, curve.params]), np.array([tokens, curve.tokens])
    there, here = _gradient(curve, *scales)
    slopes = there - here
    slopes[:, 3] *= np.any(curve.terms[3] != 0)
    variance = np.einsum("vp,vpq,vq->v", slopes, covariance, slopes)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)


def _gradient(curve: SharedCurve, params: Array, tokens: Array) -> Array:
    """Derivative (n, V, 6) of the curve in its four terms and the logarithms of its exponents."""
    features = curve.features(params, tokens)
    _, size, token, product = curve.terms
    by_size = (size + product * features[:, :, 2]) * features[:, :, 1]
    by_tokens = (token + product * features[:, :, 1]) * features[:, :, 2]
    fall = -curve.size_exponent * np.log(params / curve.params)[:, None] * by_size
    sink = -curve.token_exponent * np.log(tokens / curve.tokens)[:, None] * by_tokens
    return np.concatenate([features, fall[:, :, None], sink[:, :, None]], axis=2)
