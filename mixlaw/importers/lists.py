"""A mixture that was logged as two lists: `--lists data.names=data.weights`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mixlaw.errors import Refused, one_of
from mixlaw.importers.base import Log


def parse_lists(text: str) -> tuple[str, str]:
    """Read `NAMES=VALUES`.

    Raises:
        Refused: for another form.
    """
    names, equals, values = text.partition("=")
    if not (equals and names and values):
        raise Refused(f"'{text}' is not NAMES=VALUES; write, say, --lists data.names=data.weights")
    return names, values


def list_names(names: Sequence[str]) -> tuple[str, ...]:
    """The lists of a log, which have a member `.0`."""
    return tuple(name.removesuffix(".0") for name in names if name.endswith(".0"))


def with_lists(log: Log, names: str, values: str) -> Log:
    """The log with each value of a list under its name in the other: `data.weights.1` becomes `data.weights.web`.

    Run by run, as the order of names may differ from one to the next.

    Raises:
        Refused: for a list that is not there, or two of different lengths.
    """
    for wanted in (names, values):
        one_of(wanted, list_names(log.names), "list in the log")
    runs = []
    for run in log.runs:
        try:
            points = tuple(_named(point, names, values) for point in run.points)
            runs.append(replace(run, settings=_named(run.settings, names, values), points=points))
        except Refused as error:
            raise Refused(f"run '{run.name}': {error}") from None
    return replace(log, runs=tuple(runs))


def _named(held: Mapping[str, Any], names: str, values: str) -> Mapping[str, Any]:
    said, shares = _members(held, names), _members(held, values)
    if not said and not shares:
        return held
    if len(said) != len(shares):
        raise Refused(
            f"{names} has {len(said)} members and {values} has {len(shares)}; they belong together one by one"
        )
    texts = [str(name) for name in said.values()]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise Refused(f"{names} has '{twice}' twice; give every member a name of its own")
    rest = {name: value for name, value in held.items() if name not in said and name not in shares}
    return rest | {f"{values}.{text}": share for text, share in zip(texts, shares.values(), strict=True)}


def _members(held: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The members of a list, in their order."""
    found = ((f"{name}.{place}", held.get(f"{name}.{place}")) for place in range(len(held)))
    return {member: value for member, value in found if value is not None}
