"""Run names that say the mixture: `160M-web0.25-code0.75` read by `{params}-web{mix.web}-code{mix.code}`."""

import re
from dataclasses import dataclass

from mixlaw.errors import Refused
from mixlaw.runs import MIX

NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
PLAIN = ("params", "tokens", "seed", "step", "lr")
RUN = "run"


@dataclass(frozen=True)
class NamePattern:
    """A pattern with fields in braces.

    `{mix.web}` is a proportion and `{mix.web%}` one in percent; `{params}` and `{tokens}` may end in k, M, B or T;
    `{seed}`, `{step}` and `{lr}` are numbers; `{run}` is the part of the name that its checkpoints share, if each was
    logged as a run; `{_}` is any text, left unread. All else is itself.
    """

    text: str
    expression: "re.Pattern[str]"
    fields: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the run table that a name says."""
        return tuple(name.removesuffix("%") for name in self.fields)

    def fits(self, run: str) -> bool:
        """Whether a run's name is of the pattern."""
        return self.expression.fullmatch(run) is not None

    def read(self, run: str) -> dict[str, float | str]:
        """What a run's name says, by column of the run table.

        Raises:
            Refused: if the name is not of the pattern.
        """
        match = self.expression.fullmatch(run)
        if match is None:
            raise Refused(
                f"the name of run '{run}' is not like '{self.text}'; correct the pattern, or choose runs with --only"
            )
        values: dict[str, float | str] = {}
        for number, (name, column) in enumerate(zip(self.fields, self.columns, strict=True)):
            if name == RUN:
                values[column] = match[f"f{number}"]
                continue
            value = _number(match[f"f{number}"])
            values[column] = value / 100 if name.endswith("%") else value
        return values


def parse_pattern(text: str) -> NamePattern:
    """Read a pattern.

    Raises:
        Refused: for a field that a name cannot hold, or that stands twice, or for a pattern without fields.
    """
    fields: list[str] = []
    expression = ""
    for part in re.split(r"(\{[^{}]*\})", text):
        if not (part.startswith("{") and part.endswith("}")):
            expression += re.escape(part)
        elif part == "{_}":
            expression += ".*?"
        else:
            name = part[1:-1]
            known = name in (*PLAIN, RUN) or (name.startswith(MIX) and name.rstrip("%") != MIX)
            if not known or name in fields:
                raise Refused(
                    f"'{part}' in '{text}' {'stands twice' if name in fields else 'is no field'}; a name may hold "
                    f"{{mix.DOMAIN}}, {{mix.DOMAIN%}}, {', '.join(f'{{{each}}}' for each in (*PLAIN, RUN))} and {{_}}"
                )
            expression += f"(?P<f{len(fields)}>{'.+' if name == RUN else f'{NUMBER}[kKmMbBgGtT]?'})"
            fields.append(name)
    if not fields:
        raise Refused(f"'{text}' has no field; write, say, '{{params}}-web{{mix.web}}-code{{mix.code}}'")
    return NamePattern(text, re.compile(expression, re.DOTALL), tuple(fields))


def _number(text: str) -> float:
    suffix = text[-1].lower() if text[-1].isalpha() else ""
    return float(text[: len(text) - len(suffix)]) * THOUSANDS[suffix]
