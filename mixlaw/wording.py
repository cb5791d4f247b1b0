"""Numbers as people say them."""


def in_words(count: float) -> str:
    """A count of tokens or parameters with a letter for its size: 850 -> 850, 1.2e6 -> 1.2M, 4e12 -> 4T."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.3g}"


def counted(count: int, noun: str) -> str:
    """A count with its noun, in the plural where it belongs: 1 run, 24 runs."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def is_are(count: int) -> str:
    """The verb after a count with its noun: 1 run is, 24 runs are."""
    return "is" if count == 1 else "are"
