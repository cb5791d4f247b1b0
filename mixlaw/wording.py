"""Numbers as people say them."""

import re
import shlex

SIZES = {"T": 1e12, "B": 1e9, "M": 1e6, "k": 1e3}


def in_words(count: float) -> str:
    """A count of tokens or parameters with a letter for its size: 850 -> 850, 1.2e6 -> 1.2M, 4e12 -> 4T."""
    rounded = float(f"{count:.3g}")  # chooses the letter, since 999.6M is 1B
    letter, size = next(((letter, size) for letter, size in SIZES.items() if rounded >= size), ("", 1.0))
    return f"{float(f'{count / size:.3g}'):g}{letter}"


def from_words(text: str) -> float | None:
    """The number that people mean by 100M, 1.4T, 1_000_000 or 12%; None for what is no number even so."""
    parts = re.fullmatch(r"\s*(\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*([kKMGBT%]?)\s*", text)
    if parts is None:
        return None
    number = float(parts[1].replace("_", ""))
    if parts[2] == "%":
        return number / 100
    return number * {**SIZES, "": 1.0, "K": 1e3, "G": 1e9}[parts[2]]


def in_shell(word: object) -> str:
    """A path or a name as a shell reads it back, in commands that are there to be pasted: 'my runs.csv' in quotes."""
    return shlex.quote(str(word))


def counted(count: float, noun: str) -> str:
    """A count with its noun, in the plural where it belongs: 1 run, 24 runs."""
    return f"{format(count, 'g') if isinstance(count, float) else count} {noun}" + ("" if count == 1 else "s")


def logged_again(count: int) -> str:
    """What an importer says of values that a restarted run has logged twice."""
    return f"{counted(count, 'value')} logged again at a step that has one; the later are kept"


def is_are(count: int) -> str:
    """The verb after a count with its noun: 1 run is, 24 runs are."""
    return "is" if count == 1 else "are"
