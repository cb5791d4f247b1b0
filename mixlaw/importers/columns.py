"""Which logged name becomes which column of the run table: `--map loss.web=eval/web_loss`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mixlaw.errors import Refused, one_of
from mixlaw.runs import BITS, EPOCHS, LOSS, MIX, OPTIONAL, REQUIRED

FAMILIES = (MIX, LOSS, EPOCHS, BITS)
SINGLES = (*REQUIRED, *OPTIONAL)


@dataclass(frozen=True)
class Rule:
    """`column` of the run table is `name` in the log; one `*` in each stands for the same text."""

    column: str
    name: str

    @property
    def family(self) -> str:
        """`loss.` of `loss.web`; the column itself where it is no family's."""
        return next((family for family in FAMILIES if self.column.startswith(family)), self.column)

    def matches(self, names: Iterable[str]) -> dict[str, str]:
        """Names in the log by the column that this rule makes of them."""
        if "*" not in self.name:
            return {self.column: self.name} if self.name in names else {}
        before, after = (re.escape(part) for part in self.name.split("*"))
        found = ((re.fullmatch(f"{before}(.+){after}", name, re.DOTALL), name) for name in names)
        return {self.column.replace("*", match[1]): name for match, name in found if match}


def parse_rule(text: str) -> Rule:
    """Read `COLUMN=NAME`.

    Raises:
        Refused: for another form, or a column that no run table has.
    """
    column, equals, name = text.partition("=")
    if not (equals and column and name):
        raise Refused(f"'{text}' is not COLUMN=NAME; write, say, loss.web=eval/web_loss")
    if column.count("*") > 1 or column.count("*") != name.count("*"):
        raise Refused(f"'{text}' needs one * on both sides or none; write, say, 'loss.*=eval/*_loss'")
    if column not in SINGLES and not any(column.startswith(family) and column != family for family in FAMILIES):
        wanted = [*SINGLES, *(f"{family}NAME" for family in FAMILIES)]
        raise Refused(f"'{text}' would make a column '{column}'; a run table has {', '.join(wanted)}")
    return Rule(column, name)


UNCLEAR = ("group", "kind")
"""Names that settings of other tools have for other things."""

CANONICAL = tuple(Rule(column, column) for column in SINGLES if column not in UNCLEAR) + tuple(
    Rule(f"{family}*", f"{family}*") for family in FAMILIES
)
"""Names that are already those of a run table."""


def resolve(said: Sequence[Rule], assumed: Sequence[Rule], names: Sequence[str], source: str) -> dict[str, str]:
    """The logged name of each column of the run table.

    What the user says about a family (losses, say) replaces what the format or the names themselves would suggest for
    that family.

    Args:
        said: rules of the user's; each must match.
        assumed: rules of the format.
        names: all names in the log.
        source: for messages.

    Raises:
        Refused: if a rule of the user's matches nothing, or two names would become one column.
    """
    roles: dict[str, str] = {}
    exact = {rule.name for rule in said if "*" not in rule.name}
    for rule in said:
        free = names if "*" not in rule.name else [name for name in names if name not in exact]
        found = rule.matches(free)
        if not found and "*" not in rule.name:
            _unknown(rule, names, source)
        if not found:
            raise Refused(f"{source}: no name is like '{rule.name}'; there are: {_listed(names)}")
        _add(roles, found, source)
    families = {rule.family for rule in said}
    for rules in (assumed, CANONICAL):
        for rule in rules:
            if rule.family not in families:
                free = [name for name in names if name not in roles.values()]
                _add(roles, rule.matches(free), source)
        families |= {rule.family for rule in rules if any(column.startswith(rule.family) for column in roles)}
    return roles


def _add(roles: dict[str, str], found: Mapping[str, str], source: str) -> None:
    for column, name in found.items():
        if column in roles:
            raise Refused(f"{source}: '{roles[column]}' and '{name}' would both become {column}; map one of them away")
        roles[column] = name


def _unknown(rule: Rule, names: Sequence[str], source: str) -> None:
    try:
        one_of(rule.name, names, "name in the log")
    except Refused as error:
        raise Refused(f"{source}: {rule.column} cannot be found: {error}") from None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
