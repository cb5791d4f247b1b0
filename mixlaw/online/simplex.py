"""Arithmetic on the simplex in log space, where no proportion is lost to underflow and no exponent overflows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def normalised(logs: ArrayLike) -> Array:
    """exp(logs) / sum exp(logs), exact for any finite logs; -inf gives 0.

    Raises:
        ValueError: for NaN, +inf, or no finite entry: there is no such point of the simplex.
    """
    values = np.asarray(logs, dtype=np.float64)
    highest = values.max()
    if not np.isfinite(highest):
        raise ValueError(f"no point of the simplex has the log weights {values.tolist()}")
    weights = np.exp(values - highest)
    found: Array = weights / weights.sum()
    return found


def stepped(proportions: ArrayLike, exponents: ArrayLike) -> Array:
    """The multiplicative (mirror descent) step p_i exp(x_i) / sum_j p_j exp(x_j).

    A proportion of 0 stays 0. Adding a constant to all exponents changes nothing.

    Args:
        proportions: (M,), on the simplex.
        exponents: (M,), finite.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(proportions, dtype=np.float64))
    return normalised(logs + np.asarray(exponents, dtype=np.float64))


def smoothed(proportions: Array, share: float) -> Array:
    """(1 - share) p + share / M: none falls below share / M, so that it can come back and is still read."""
    return (1 - share) * proportions + share / len(proportions)


def uniform(count: int) -> Array:
    """1 / count, count times."""
    return np.full(count, 1 / count)


def by_domain(values: ArrayLike, domains: ArrayLike, count: int) -> tuple[Array, Array]:
    """Sum values over the sequences of each domain.

    Args:
        values: (B,), one a sequence.
        domains: (B,), integers below `count`.
        count: M, of domains.

    Returns:
        (M,) sums and (M,) how many sequences; both 0 for a domain that is absent.
    """
    index = np.asarray(domains, dtype=np.int64)
    sums: Array = np.bincount(index, np.asarray(values, dtype=np.float64), minlength=count).astype(np.float64)
    return sums, np.bincount(index, minlength=count).astype(np.float64)
