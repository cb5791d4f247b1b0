"""Linear limits between domains as people write them: `code + math <= 0.4`, `2 * web >= books`."""

import re
from collections.abc import Sequence

import numpy as np

from mixlaw.errors import Refused, one_of
from mixlaw.limits import Limits
from mixlaw.mixture import Array

FORM = "write, say, 'code + math <= 0.4' or 'web >= 2 * books'"

NUMBER = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?")
WORD = re.compile(r"[^\s+*<>=\"'-][^\s+*<>=\"']*")
COMPARISONS = ("<=", ">=", "=<", "=>", "==", "<", ">", "=", "≤", "≥")


def with_linear_limits(limits: Limits, texts: Sequence[str]) -> Limits:
    """Add linear limits in words to limits; refuse what cannot be read, or cannot be met together.

    Raises:
        Refused: naming the limit, the place in it, and what was expected there.
    """
    if not texts:
        return limits
    read = [linear_limit(text, limits.domains) for text in texts]
    rows, bounds = np.array([row for row, _ in read]), np.array([bound for _, bound in read])
    return limits.with_rows(rows, bounds, tuple(" ".join(text.split()) for text in texts))


def linear_limit(text: str, domains: Sequence[str]) -> tuple[Array, float]:
    """Read one linear limit as row·r <= bound.

    Both sides are sums of terms: a number, a domain, or number * domain. Domains may be quoted, and must be where
    their name has a space or an operator in it and is not matched as it stands.

    Args:
        text: with one <= or >=.
        domains: M names.

    Returns:
        Row (M,) and bound.
    """
    bare = _without_names(text)
    comparison = next((sign for sign in COMPARISONS if sign in bare), None)
    if comparison is None:
        raise Refused(f"--limit '{text}' compares nothing; {FORM}")
    if comparison not in ("<=", ">=", "≤", "≥"):
        raise Refused(f"--limit '{text}' has '{comparison}', which is not <= or >=; for equality give both")
    place = bare.index(comparison)
    left, right = text[:place], text[place + len(comparison) :]
    if any(sign in bare[place + len(comparison) :] for sign in COMPARISONS):
        raise Refused(f"--limit '{text}' compares twice; give each comparison its own --limit")
    row, constant = np.zeros(len(domains)), 0.0
    for side, sign in ((left, 1.0), (right, -1.0)):
        for coefficient, domain in _terms(side, text, domains):
            if domain is None:
                constant += sign * coefficient
            else:
                row[list(domains).index(domain)] += sign * coefficient
    if not row.any():
        raise Refused(f"--limit '{text}' leaves no domain to limit; {FORM}")
    turned = 1.0 if comparison in ("<=", "≤") else -1.0
    return turned * row, -turned * constant


def _without_names(text: str) -> str:
    """The text, as long as it was, with blanks for what is quoted: a name may have an operator in it."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", lambda quoted: " " * len(quoted[0]), text)


def _terms(side: str, text: str, domains: Sequence[str]) -> list[tuple[float, str | None]]:
    """(coefficient, domain) of each term of one side; domain None for a plain number."""
    terms: list[tuple[float, str | None]] = []
    rest, first = side.strip(), True
    if not rest:
        raise Refused(f"--limit '{text}' has nothing on one side; {FORM}")
    while rest:
        sign = 1.0
        if rest[0] in "+-":
            sign = -1.0 if rest[0] == "-" else 1.0
            rest = rest[1:].lstrip()
        elif not first:
            raise Refused(f"--limit '{text}': expected + or - before '{rest}'; {FORM}")
        first = False
        number, rest = _number(rest)
        if number is not None and rest.startswith("%"):
            raise Refused(f"--limit '{text}': proportions lie between 0 and 1; for {number:g}% write {number / 100:g}")
        if number is not None and not rest.startswith("*"):
            terms.append((sign * number, None))
            continue
        if number is not None:
            rest = rest[1:].lstrip()
        domain, rest = _domain(rest, text, domains)
        terms.append((sign * (1.0 if number is None else number), domain))
    return terms


def _number(rest: str) -> tuple[float | None, str]:
    found = NUMBER.match(rest)
    if found is None or re.match(r"[\w.]", rest[found.end() :]):
        return None, rest
    return float(found[0]), rest[found.end() :].lstrip()


def _domain(rest: str, text: str, domains: Sequence[str]) -> tuple[str, str]:
    """The domain that the rest begins with: quoted, or the longest name that fits."""
    if rest[:1] in ("'", '"') and rest[:1]:
        name, closed, after = rest[1:].partition(rest[0])
        if not closed:
            raise Refused(f"--limit '{text}': a quote is not closed")
        return one_of(name, tuple(domains), "domain"), after.lstrip()
    fitting = [name for name in domains if rest.startswith(name) and not re.match(r"[\w.]", rest[len(name) :])]
    if fitting:
        name = max(fitting, key=len)
        return name, rest[len(name) :].lstrip()
    word = WORD.match(rest)
    if word is None:
        raise Refused(f"--limit '{text}': expected a domain or a number at '{rest or 'the end'}'; {FORM}")
    try:
        one_of(word[0], tuple(domains), "domain")
    except Refused as error:
        raise Refused(f"--limit '{text}': {error}") from None
    raise Refused(f"--limit '{text}': '{rest}' cannot be read; quote the domain's name")
