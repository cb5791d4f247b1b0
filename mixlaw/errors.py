"""The one exception for everything a user can cause."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


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
        Refused: naming the nearest valid name and all of them.
    """
    if found in allowed:
        return found
    near = difflib.get_close_matches(found, allowed, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise Refused(f"no {what} is called '{found}'; {hint}there are: {', '.join(allowed) or 'none'}")
