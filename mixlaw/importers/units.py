"""Losses in nats per token, from the units they are logged in."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum

import numpy as np
import pandas as pd

from mixlaw.errors import Refused
from mixlaw.mixture import Array
from mixlaw.runs import LOSS


class LossUnit(StrEnum):
    """The unit of a logged loss; every one is a monotone function of nats per token."""

    NATS = "nats"
    BITS = "bits"
    PERPLEXITY = "perplexity"
    BITS_PER_BYTE = "bits-per-byte"


def nats_per_token(values: Array, unit: LossUnit, bytes_per_token: float = 1.0) -> Array:
    """Convert: nats are nats; bits x ln 2; ln perplexity; bits per byte x ln 2 x bytes per token.

    With one byte per token, bits per byte become nats per byte: what a vocabulary of bytes would measure.

    Args:
        values: any shape; NaN stays NaN.
        unit: of `values`.
        bytes_per_token: of the validation text; only bits per byte depend on it.

    Raises:
        Refused: for a perplexity that is not positive.
    """
    if unit == LossUnit.PERPLEXITY and (values <= 0).any():
        raise Refused(f"a perplexity is {values[values <= 0][0]:g}; it is positive: are the losses perplexities?")
    ln2 = math.log(2)
    convert: Mapping[LossUnit, Callable[[Array], Array]] = {
        LossUnit.NATS: lambda x: x,
        LossUnit.BITS: lambda x: x * ln2,
        LossUnit.PERPLEXITY: np.log,
        LossUnit.BITS_PER_BYTE: lambda x: x * (ln2 * bytes_per_token),
    }
    return convert[unit](values)


def in_nats(
    frame: pd.DataFrame, unit: LossUnit, bytes_per_token: float | Mapping[str, float]
) -> tuple[pd.DataFrame, list[str]]:
    """Convert the losses of a frame; those that are not finite are left blank, and rows without any are dropped.

    Returns:
        The frame, and notes on what was converted.
    """
    losses = [str(name) for name in frame.columns if str(name).startswith(LOSS)]
    for name in losses:
        values = frame[name].to_numpy(dtype=float)
        finite = np.where(np.isinf(values), math.nan, values)
        frame = frame.assign(**{name: nats_per_token(finite, unit, _bytes_per_token(bytes_per_token, name))})
    empty = frame[losses].isna().all(axis=1)
    return frame[~empty].reset_index(drop=True), _conversion(unit, bytes_per_token)


def _conversion(unit: LossUnit, bytes_per_token: float | Mapping[str, float]) -> list[str]:
    if unit == LossUnit.NATS:
        return []
    if unit == LossUnit.BITS_PER_BYTE and bytes_per_token == 1.0:
        return ["losses were converted from bits to nats, both per byte; --bytes-per-token gives nats per token"]
    return [f"losses were converted from {unit} to nats per token"]


def _bytes_per_token(given: float | Mapping[str, float], column: str) -> float:
    if not isinstance(given, Mapping):
        return given
    target = column.removeprefix(LOSS)
    if target not in given:
        raise Refused(f"--bytes-per-token has no '{target}' (found: {', '.join(given)}); add it")
    return given[target]
