"""Counts of parameters and tokens on the command line, as numbers or as people write them."""

import typer

from mixlaw.wording import from_words

METAVAR = "COUNT"


def count(text: str) -> float:
    """A number such as 7e9, or what output says for it: 7B. Whether it can be meant is for the verb to say."""
    try:
        return float(text)
    except ValueError:
        found = from_words(text)
    if found is None or text.strip().endswith("%"):
        raise typer.BadParameter(f"'{text}' is not a count; write 7e9 or 7B") from None
    return found
