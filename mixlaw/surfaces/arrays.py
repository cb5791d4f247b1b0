"""Arrays in a law file."""

from typing import Any

import numpy as np

from mixlaw.errors import Refused
from mixlaw.mixture import Array


def lists(array: Array) -> Any:
    """Nested lists of an array, None where it is NaN: JSON has no NaN."""
    values = array.astype(object)
    values[np.isnan(array)] = None
    return values.tolist()


def array_of(values: Any) -> Array:
    """The array of nested lists, NaN where they hold None."""
    return np.array(values, dtype=float)


def numbers_of(values: Any, name: str) -> Array:
    """The array of nested lists in which every number must be there.

    Raises:
        Refused: if one is not.
    """
    array = array_of(values)
    if not np.isfinite(array).all():
        raise Refused(f"{name} holds a value that is not a number; run mixlaw fit again")
    return array
