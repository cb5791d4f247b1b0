"""The scales that were measured, and how far a scale asked for lies beyond them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces.curves import SAME_SCALE, distinct, same_scale
from mixlaw.wording import in_words

FAR_PARAMS, FAR_TOKENS = 3.0, 4.0
"""Ratios to the largest size and token count measured beyond which scale laws have been seen to fail."""

SHOWS_AN_EXPONENT = 3
"""Sizes, or token counts, from which on a curve shows its own exponent."""


@dataclass(frozen=True)
class Reach:
    """What sizes and token counts a surface rests on.

    Attributes:
        sizes: model sizes, increasing, each once.
        token_counts: the number of different token counts.
        least_tokens, most_tokens: over all runs.
        most_tokens_at_largest: over the runs of the largest size.
        apart: whether runs of one size differ in tokens, or runs of as many tokens in size: if every size has tokens of
            its own, what either does cannot be told.
    """

    sizes: tuple[float, ...]
    token_counts: int
    least_tokens: float
    most_tokens: float
    most_tokens_at_largest: float
    apart: bool

    @classmethod
    def of(cls, table: RunTable) -> Self:
        """Read the reach of a table."""
        sizes, tokens = distinct(table.params), table.tokens
        largest = same_scale(table.params, float(sizes[-1]))
        return cls(
            tuple(float(size) for size in sizes),
            len(distinct(tokens)),
            float(tokens.min()),
            float(tokens.max()),
            float(tokens[largest].max()),
            _apart(table.params, tokens),
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        return cls(**{**parameters, "sizes": tuple(parameters["sizes"])})

    def parameters(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "sizes": list(self.sizes)}

    def scale(self, params: float | None, tokens: float | None) -> tuple[float, float]:
        """The scale asked for; None means the largest size, and the most tokens measured at it.

        Raises:
            Refused: for a number that is not positive.
        """
        for name, value in (("params", params), ("tokens", tokens)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise Refused(f"{name} is {value}; it must be a positive number")
        return float(params or self.sizes[-1]), float(tokens or self.most_tokens_at_largest)

    def ratios(self, params: float, tokens: float) -> tuple[float, float]:
        """Params and tokens over the largest measured; 1 at least, since what is inside the runs is not extrapolated.

        Tokens count against the largest size too: a longer small run says less about a large one.
        """
        beyond_size = params > self.sizes[-1] * (1 + SAME_SCALE)
        most_tokens = self.most_tokens_at_largest if beyond_size else self.most_tokens
        return max(1.0, params / self.sizes[-1]), max(1.0, tokens / most_tokens)

    def warnings(self, params: float, tokens: float) -> tuple[str, ...]:
        """What is far from the runs, in words."""
        found = []
        params_ratio, tokens_ratio = self.ratios(params, tokens)
        if not self.apart:
            found.append(
                "sizes and tokens grow together in all runs, so what each does cannot be told apart: only scales on "
                "the same line are more than a guess"
            )
        for ratio, count, noun in (
            (params_ratio, len(self.sizes), "size"),
            (tokens_ratio, self.token_counts, "token count"),
        ):
            if ratio > 1 + SAME_SCALE and count < SHOWS_AN_EXPONENT:
                found.append(
                    f"{count} {noun}s do not show how fast losses fall; the exponent is that of published laws"
                )
        if params_ratio > FAR_PARAMS:
            found.append(
                f"{in_words(params)} params are {params_ratio:.3g} times the largest size measured "
                f"({in_words(self.sizes[-1])}); predictions beyond {FAR_PARAMS:g} times have been seen to fail"
            )
        if tokens_ratio > FAR_TOKENS:
            found.append(
                f"{in_words(tokens)} tokens are {tokens_ratio:.3g} times the most measured; "
                f"predictions beyond {FAR_TOKENS:g} times have been seen to fail"
            )
        if params < self.sizes[0] * (1 - SAME_SCALE):
            found.append(f"{in_words(params)} params are below the smallest size measured ({in_words(self.sizes[0])})")
        if tokens < self.least_tokens * (1 - SAME_SCALE):
            found.append(f"{in_words(tokens)} tokens are fewer than any measured ({in_words(self.least_tokens)})")
        return tuple(found)


def _apart(params: Array, tokens: Array) -> bool:
    """Whether log params and log tokens vary without each other: the rank of 1, log N, log D says."""
    logs = np.column_stack([np.ones_like(params), np.log(params / params[0]), np.log(tokens / tokens[0])])
    spread = logs[:, 1:].std(axis=0)
    if (spread < SAME_SCALE).any():
        return True
    rank = np.linalg.matrix_rank(logs / np.array([1.0, *spread]), tol=1e-2 * np.sqrt(len(params)))
    return bool(rank == logs.shape[1])
