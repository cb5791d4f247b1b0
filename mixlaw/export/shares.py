"""A mixture in the unit of a trainer, rounded so that the written decimals sum to exactly 1."""

import math
from collections.abc import Mapping
from fractions import Fraction

from mixlaw.errors import Refused
from mixlaw.export.base import Unit
from mixlaw.export.sizes import Size
from mixlaw.mixture import Mixture

DECIMALS = 15
"""Decimals of a written share: as many as a float64 near 1 holds."""


def shares(
    mixture: Mixture, unit: Unit, sizes: Mapping[str, Size], budget_tokens: float | None = None
) -> dict[str, float]:
    """Convert proportions of tokens into `unit`, by domain.

    Shares of tokens, sequences or documents come with at most 15 decimals that sum to exactly 1 as decimals. Fractions
    do not sum to 1: they are r_i T / n_i for T tokens kept in all and n_i tokens in the domain, where T is the most
    that no domain has to repeat for, min_i n_i / r_i, or the budget if that is less.

    Raises:
        Refused: if tokens or documents of a domain are needed and not known.
    """
    proportions = {domain: proportion for domain, proportion in mixture.as_dict().items() if proportion > 0}
    if unit == Unit.FRACTION:
        kept = tokens_without_repeats(mixture, sizes)
        kept = min(kept, budget_tokens) if budget_tokens else kept
        parts = {domain: min(1.0, value * kept / _tokens(domain, sizes)) for domain, value in proportions.items()}
        return {domain: round(parts.get(domain, 0.0), DECIMALS) for domain in mixture.domains}
    if unit == Unit.DOCUMENTS:
        proportions = {
            domain: value * _documents(domain, sizes) / _tokens(domain, sizes) for domain, value in proportions.items()
        }
    rounded = exact_decimals(proportions)
    return {domain: rounded.get(domain, 0.0) for domain in mixture.domains}


def exact_decimals(parts: Mapping[str, float]) -> dict[str, float]:
    """Divide by the sum and round to 15 decimals by largest remainder: as decimals the result sums to exactly 1."""
    scale = 10**DECIMALS
    total = sum(Fraction(value) for value in parts.values())
    scaled = {name: Fraction(value) / total * scale for name, value in parts.items()}
    units = {name: math.floor(value) for name, value in scaled.items()}
    lacking = scale - sum(units.values())
    by_remainder = sorted(parts, key=lambda name: units[name] - scaled[name])
    for name in by_remainder[:lacking]:
        units[name] += 1
    return {name: count / scale for name, count in units.items()}


def tokens_without_repeats(mixture: Mixture, sizes: Mapping[str, Size]) -> float:
    """The longest training that reads no domain twice: the least of available tokens / proportion."""
    return min(_tokens(domain, sizes) / value for domain, value in mixture.as_dict().items() if value > 0)


def _tokens(domain: str, sizes: Mapping[str, Size]) -> float:
    size = sizes.get(domain)
    if size is None:
        raise Refused(
            f"the tokens of '{domain}' are not known, and this trainer's numbers depend on them; pass --available "
            'with a corpus folder or a JSON file {"domain": {"tokens": ..., "documents": ...}}'
        )
    return size.tokens


def _documents(domain: str, sizes: Mapping[str, Size]) -> float:
    size = sizes.get(domain)
    if size is None or size.documents is None:
        raise Refused(
            f"the documents of '{domain}' are not known, and this trainer draws documents, not tokens: the same number "
            "would give long documents too large a share; pass --available with a corpus folder or a JSON file "
            '{"domain": {"tokens": ..., "documents": ...}}'
        )
    return size.documents
