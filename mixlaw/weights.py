"""How much each target matters."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mixlaw.errors import Refused, naming, one_of
from mixlaw.files import read_json
from mixlaw.mixture import Array


def weights_of(weights: Mapping[str, float] | None, targets: Sequence[str]) -> Array:
    """Importance of each target, shape (V,), scaled to sum to 1; equal when `weights` is None, 0 for targets not named.

    Raises:
        Refused: for an unknown target, a negative or non-finite weight, or weights that are all 0.
    """
    if weights is None:
        return np.full(len(targets), 1 / len(targets))
    for target, weight in weights.items():
        one_of(target, targets, "target")
        if not (np.isfinite(weight) and weight >= 0):
            raise Refused(f"the weight of '{target}' is {weight}; it must be a number of at least 0")
    array: Array = np.array([float(weights.get(target, 0.0)) for target in targets])
    total = float(array.sum())
    if not total > 0:
        raise Refused("every weight is 0; give at least one target a positive weight")
    return array / total


def read_weights(path: Path | None, targets: Sequence[str]) -> dict[str, float] | None:
    """Read weights `{target: number}` for these targets; None, which weighs them equally, where there is no file.

    Raises:
        Refused: naming the file, for an unknown target, a weight that is no number of at least 0, or all of them 0.
    """
    if path is None:
        return None
    weights = read_numbers(path, "weights")
    with naming(path):
        weights_of(weights, targets)
    return weights


def read_numbers(path: Path | str, what: str) -> dict[str, float]:
    """Read `{name: number}`, the form of weights (by target) and of available tokens (by domain).

    Args:
        path: a JSON file.
        what: what the numbers are, as the message calls them ("weights", "available tokens").

    Raises:
        Refused: naming the file and the entry that is not a number of at least 0.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise Refused(f'{path} does not hold {what}; write {{"name": number, ...}}')
    for name, number in content.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not number >= 0:
            raise Refused(f"{path}: '{name}' is {number!r}; {what} are numbers of at least 0")
    return {name: float(number) for name, number in content.items()}
