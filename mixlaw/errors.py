"""The one exception for everything a user can cause."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LISTED = 24
"""Names listed before a message counts the rest."""

NEAR, PART = 0.6, 3
"""Likeness, of `difflib`, from which one name is taken for another, and the fewest letters that a part of one has."""


class Refused(ValueError):
    """An input, a limit or a request that cannot be honoured as it stands.

    The message has three parts: what was found (with names and numbers), what was needed, and what to do.
    The command line prints it on stderr after the verb and exits with code 1, writing no output file.
    """


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Put the file, or whatever it is about, before the message of what is refused within."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{source}: {error}") from None


def one_of(found: str, allowed: Sequence[str], what: str) -> str:
    """Return `found` if it is among `allowed`; refuse with the nearest allowed names otherwise.

    Args:
        found: the name that was given.
        allowed: every valid name.
        what: what the name stands for, as the message calls it ("domain", "law").

    Raises:
        Refused: naming the valid name that `found` is close to, if there is one, and what there is.
    """
    if found in allowed:
        return found
    near = nearest(found, allowed)
    hint = "" if near is None else f"did you mean '{near}'? "
    more = f" and {len(allowed) - LISTED} more" if len(allowed) > LISTED else ""
    raise Refused(f"no {what} is called '{found}'; {hint}there are: {', '.join(allowed[:LISTED]) or 'none'}{more}")


def nearest(found: str, allowed: Sequence[str]) -> str | None:
    """The name that was meant, if one is close: the same but for case and punctuation, a part or whole of it, or alike.

    A name that resembles nothing gets no suggestion: to be asked whether one meant "books" by "foo" helps nobody.
    """
    wanted, names = _letters(found), [_letters(name) for name in allowed]
    within = [name for name in names if min(len(wanted), len(name)) >= PART and (wanted in name or name in wanted)]
    same = [wanted] if wanted in names else sorted(within, key=lambda name: abs(len(name) - len(wanted)))
    near = same or difflib.get_close_matches(wanted, names, n=1, cutoff=NEAR)
    return allowed[names.index(near[0])] if near else None


def _letters(name: str) -> str:
    """A name without what people mistype in it: case and punctuation."""
    return "".join(letter for letter in name.casefold() if letter.isalnum()) or name
