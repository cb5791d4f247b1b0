"""What names in a log look like: rules to propose to the user, none of which is ever applied unasked."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from mixlaw.importers.base import Log, LoggedRun
from mixlaw.importers.lists import list_names
from mixlaw.importers.units import LossUnit
from mixlaw.mixture import ROUNDING

LOSSES = ("loss", "bits_per_byte", "bpb", "perplexity", "ppl", "cross_entropy", "nll")
"""What losses are called; the first that some name has counts."""

VALIDATION = ("eval", "val", "test", "held")

UNITS = {
    "bits_per_byte": LossUnit.BITS_PER_BYTE,
    "bpb": LossUnit.BITS_PER_BYTE,
    "perplexity": LossUnit.PERPLEXITY,
    "ppl": LossUnit.PERPLEXITY,
}

SEPARATORS = "./:_- "
"""Between the name of a mixture and that of a domain: `data.mixture.web`, `web_share`."""


def likely_losses(names: Iterable[str]) -> str:
    """The rule that would take the names that look like losses of validation sets; one for show where none does."""
    names = [name for name in names if "train" not in name.lower()]
    found = next((like for word in LOSSES if (like := [name for name in names if word in name.lower()])), [])
    held_out = [name for name in found if any(word in name.lower() for word in VALIDATION)]
    found = held_out or found
    if len(found) == 1:
        return f"loss.NAME={found[0]}"
    words = [re.findall(r"[A-Za-z0-9]+|[^A-Za-z0-9]+", name) for name in found]
    before, after = "".join(_shared(words)), "".join(reversed(_shared([each[::-1] for each in words])))
    if (before or after) and all(len(name) > len(before) + len(after) for name in found):
        return f"loss.*={before}*{after}"
    return "loss.*=eval/*"


def likely_unit(name: str) -> LossUnit:
    """The unit that a name says its values are in: nats if it says none."""
    small = name.lower()
    return next((unit for word, unit in UNITS.items() if word in small), LossUnit.NATS)


def likely_count(column: str, names: Iterable[str]) -> str | None:
    """The rule for `params` or `tokens` of the shortest name that has the word in it; none if no name has.

    A name with a unit of its own, such as `tokens (B)` or `tokens_per_step`, is not meant.
    """
    word = column.removesuffix("s")
    other = re.compile(r"[^a-z]per|\(|_[mb]$|million|billion")
    found = [name for name in names if word in name.lower() and not other.search(name.lower())]
    return f"{column}={min(found, key=len)}" if found else None


def likely_mixture(log: Log) -> str | None:
    """The rule for names that differ in one word, sum to 1 or to 100 in every run that has them, and are not the same
    in all runs, as what is no mixture may be."""
    held = [_values(run) for run in log.runs]
    for before, after in _families(log.names):
        names = [name for name in log.names if name.startswith(before) and name.endswith(after)]
        if _are_mixtures(held, names):
            return f"mix.*={before}*{after}"
    return None


def likely_lists(log: Log, rule: str) -> str | None:
    """The list of text that has as many members as the one the rule takes: what `--lists` would say."""
    values = rule.removeprefix("mix.*=").removesuffix(".*")
    if values not in list_names(log.names):
        return None
    held = next((found for run in log.runs if f"{values}.0" in (found := _values(run))), {})
    for name in list_names(log.names):
        words = [value for key, value in held.items() if re.fullmatch(rf"{re.escape(name)}\.\d+", key)]
        shares = [key for key in held if re.fullmatch(rf"{re.escape(values)}\.\d+", key)]
        if name != values and len(words) == len(shares) and all(isinstance(word, str) for word in words):
            return f"{name}={values}"
    return None


def _families(names: Sequence[str]) -> list[tuple[str, str]]:
    """What several names begin or end with, up to a separator: the longest first."""
    places = [(name, place) for name in names for place, sign in enumerate(name) if sign in SEPARATORS]
    found = Counter((name[: place + 1], "") for name, place in places)
    found.update(("", name[place:]) for name, place in places)
    shared = [family for family, count in found.items() if count > 1]
    return sorted(shared, key=lambda family: (-len("".join(family)), family))


def _values(run: LoggedRun) -> Mapping[str, Any]:
    return {**(run.points[-1] if run.points else {}), **run.settings}


def _are_mixtures(held: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bool:
    found = set()
    for values in held:
        shares = _shares(values, names)
        if shares and min(abs(sum(shares) - 1), abs(sum(shares) / 100 - 1)) > ROUNDING:
            return False
        found |= {shares} if shares else set()
    return len(found) > 1 or len(found) == len(held) == 1


def _shares(values: Mapping[str, Any], names: Sequence[str]) -> tuple[float, ...]:
    """The values of the names in one run; none if it has fewer than two of them, or one that is no share."""
    held = tuple(values[name] for name in names if name in values)
    shares = len(held) > 1 and all(isinstance(value, int | float) and value >= 0 for value in held)
    return held if shares else ()


def _shared(words: Iterable[Sequence[str]]) -> list[str]:
    """The words that all begin with."""
    return [same[0] for same in takewhile(lambda each: len(set(each)) == 1, zip(*words, strict=False))]
