"""(exp(x) - 1) / x and its derivatives, exact also near 0: what is left of an exponential that is nearly linear."""

import numpy as np

from mixlaw.mixture import Array

SMALL = 0.05
"""|x| below which the series is used; six terms of it are then exact to rounding."""


CEILING = 50.0
"""Logarithm beyond which an exponential counts as e^50 nats: no step goes that far, and its number stays finite."""


def growth(x: Array) -> tuple[Array, Array, Array]:
    """g(x) = (exp(x) - 1) / x, g'(x) and g''(x); g(0) = 1, g'(0) = 1/2, g''(0) = 1/3."""
    small = np.abs(x) < SMALL
    safe = np.where(small, 1.0, np.minimum(x, CEILING))
    power = np.exp(safe)
    value = np.expm1(safe) / safe
    first = (power - value) / safe
    second = (power - 2 * first) / safe
    near = np.where(small, x, 0.0)
    return (
        np.where(small, _series(near, (1, 2, 6, 24, 120, 720, 5040, 40320, 362880)), value),
        np.where(small, _series(near, (2, 3, 8, 30, 144, 840, 5760, 45360, 403200)), first),
        np.where(small, _series(near, (3, 4, 10, 36, 168, 960, 6480, 50400, 443520)), second),
    )


def _series(x: Array, denominators: tuple[int, ...]) -> Array:
    """sum_k x^k / denominators[k], by Horner's rule."""
    total = np.zeros_like(x)
    for denominator in reversed(denominators):
        total = total * x + 1 / denominator
    return total
