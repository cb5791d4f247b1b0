"""Which mixtures are allowed: floors, caps, epochs of the tokens at hand, and rows of linear limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from mixlaw.errors import Refused, one_of
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Limits:
    """The polytope {r: sum r = 1, floor <= r <= cap, rows r <= bounds}.

    Attributes:
        domains: M names.
        floor: (M,) smallest proportion of each domain.
        cap: (M,) largest proportion of each domain.
        rows: (k, M) coefficients of further linear limits.
        bounds: (k,) right-hand sides.
        reasons: for each domain and row that is limited, in words: where the limit comes from.
    """

    domains: tuple[str, ...]
    floor: Array
    cap: Array
    rows: Array
    bounds: Array
    reasons: Mapping[str, str]

    @classmethod
    def simplex(cls, domains: Sequence[str]) -> "Limits":
        """No limit but the simplex."""
        count = len(domains)
        return cls(tuple(domains), np.zeros(count), np.ones(count), np.zeros((0, count)), np.zeros(0), {})

    @classmethod
    def of(
        cls,
        domains: Sequence[str],
        *,
        floors: Mapping[str, float] | None = None,
        caps: Mapping[str, float] | None = None,
        available: Mapping[str, float] | None = None,
        budget_tokens: float | None = None,
        max_epochs: float = 1.0,
    ) -> "Limits":
        """Combine floors, caps and availability; a domain's cap is the least of `caps` and epochs x available / budget.

        Args:
            domains: M names.
            floors: smallest proportion by domain; 0 where absent.
            caps: largest proportion by domain; 1 where absent.
            available: unique tokens by domain; needs `budget_tokens`, and every domain.
            budget_tokens: tokens to be trained on.
            max_epochs: passes over a domain allowed.

        Raises:
            Refused: for unknown domains, values outside [0, 1], or limits that no mixture meets, with the reason.
        """
        limits = cls.simplex(domains)
        reasons: dict[str, str] = {}
        for name, values, array in (("floor", floors or {}, limits.floor), ("cap", caps or {}, limits.cap)):
            for domain, value in values.items():
                one_of(domain, limits.domains, "domain")
                if not 0 <= value <= 1:
                    raise Refused(f"the {name} of '{domain}' is {value:g}; a proportion lies between 0 and 1")
                array[limits.domains.index(domain)] = value
                reasons[domain] = f"{name} {value:g}"
        if available is not None:
            if budget_tokens is None or budget_tokens <= 0:
                raise Refused(
                    "available tokens limit a mixture only for a budget; give --tokens, the tokens to be trained on"
                )
            if not max_epochs > 0:
                raise Refused(f"max epochs is {max_epochs:g}; it must be positive")
            lacking = [domain for domain in limits.domains if domain not in available]
            if lacking:
                raise Refused(f"available tokens are not given for {', '.join(lacking)}; give every domain")
            for domain, tokens in available.items():
                one_of(domain, limits.domains, "domain")
                if not (np.isfinite(tokens) and tokens >= 0):
                    raise Refused(f"available tokens of '{domain}' are {tokens}; they must be a number of at least 0")
                index, share = limits.domains.index(domain), max_epochs * tokens / budget_tokens
                if share < limits.cap[index]:
                    limits.cap[index] = share
                    reasons[domain] = f"{max_epochs:g} epochs of {tokens:.4g} tokens in a budget of {budget_tokens:.4g}"
        found = cls(limits.domains, limits.floor, limits.cap, limits.rows, limits.bounds, reasons)
        found.check()
        return found

    def check(self) -> None:
        """Refuse limits that no mixture meets, naming those in conflict and by how much."""
        above = np.flatnonzero(self.floor > self.cap)
        if len(above):
            index = int(above[0])
            name = self.domains[index]
            raise Refused(
                f"the floor of '{name}' is {self.floor[index]:g}, above its cap of {self.cap[index]:g} "
                f"({self.reasons.get(name, 'cap')}); "
                "lower the floor or raise the cap"
            )
        if self.floor.sum() > 1 + 1e-12:
            raise Refused(
                f"the floors sum to {self.floor.sum():.6g}, above 1; lower them by {self.floor.sum() - 1:.4g} in all"
            )
        if self.cap.sum() < 1 - 1e-12:
            tight = sorted(self.reasons, key=lambda name: self.cap[self.domains.index(name)])
            listed = "; ".join(
                f"{name}: {self.cap[self.domains.index(name)]:.4g} ({self.reasons[name]})" for name in tight[:6]
            )
            raise Refused(
                f"the caps sum to {self.cap.sum():.6g}, below 1: no mixture meets them; "
                f"raise them by {1 - self.cap.sum():.4g} in all "
                f"(more data, more epochs, or fewer tokens). {listed}"
            )
        if len(self.rows) and self._contradictory():
            raise Refused("the linear limits contradict the floors and caps: no mixture meets them all; relax one")

    def _contradictory(self) -> bool:
        count = len(self.domains)
        box = np.column_stack([self.floor, self.cap])
        answer = linprog(np.zeros(count), self.rows, self.bounds, np.ones((1, count)), [1.0], box)
        return bool(answer.status == 2)

    def allows(self, proportions: Array, tolerance: float = 1e-9) -> bool:
        """Whether a mixture (M,) meets every limit to within `tolerance`."""
        return bool(
            abs(proportions.sum() - 1) <= tolerance
            and (proportions >= self.floor - tolerance).all()
            and (proportions <= self.cap + tolerance).all()
            and (self.rows @ proportions <= self.bounds + tolerance).all()
        )
