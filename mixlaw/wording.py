"""Numbers as people say them."""


def in_words(count: float) -> str:
    """A count of tokens or parameters with a letter for its size: 850 -> 850, 1.2e6 -> 1.2M, 4e12 -> 4T."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.3g}"


def counted(count: float, noun: str) -> str:
    """A count with its noun, in the plural where it belongs: 1 run, 24 runs."""
    return f"{format(count, 'g') if isinstance(count, float) else count} {noun}" + ("" if count == 1 else "s")


def logged_again(count: int) -> str:
    """What an importer says of values that a restarted run has logged twice."""
    return f"{counted(count, 'value')} logged again at a step that has one; the later are kept"


def is_are(count: int) -> str:
    """The verb after a count with its noun: 1 run is, 24 runs are."""
    return "is" if count == 1 else "are"
