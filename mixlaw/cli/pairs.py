"""Flags of the form NAME=NUMBER."""

from mixlaw.errors import Refused


def pairs(given: list[str] | None, flag: str) -> dict[str, float]:
    """Read repeated `NAME=NUMBER` flags.

    Args:
        given: what stood after each flag.
        flag: as the message calls it ("--cap").

    Raises:
        Refused: for a flag that is not of this form, a value that is not a number, or a name given twice.
    """
    found: dict[str, float] = {}
    for text in given or []:
        name, equals, number = text.rpartition("=")
        if not (equals and name):
            raise Refused(f"{flag} {text} is not NAME=NUMBER; write, say, {flag} code=0.3")
        if name in found:
            raise Refused(f"{flag} {name} is given twice; keep one")
        try:
            found[name] = float(number)
        except ValueError:
            raise Refused(f"{flag} {text}: '{number}' is not a number; write, say, {flag} {name}=0.3") from None
    return found
