"""Which mixtures are allowed: floors, caps, epochs of the tokens at hand, and rows of linear limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog

from mixlaw.errors import Refused, one_of
from mixlaw.mixture import Array
from mixlaw.wording import counted, in_words


@dataclass(frozen=True)
class Supply:
    """The text at hand and how much of it a training run may read.

    Attributes:
        tokens: (M,) unique tokens of each domain.
        budget_tokens: tokens to be trained on.
        max_epochs: passes over a domain allowed.
    """

    tokens: Array
    budget_tokens: float
    max_epochs: float

    @property
    def per_epoch(self) -> Array:
        """(M,) the proportion that one pass over a domain takes up of the budget."""
        share: Array = self.tokens / self.budget_tokens
        return share

    def epochs(self, proportions: Array) -> Array:
        """(M,) passes over each domain; 0 where nothing is trained on."""
        passes: Array = np.where(proportions > 0, proportions / np.maximum(self.per_epoch, 1e-300), 0.0)
        return passes

    def natural(self) -> Array:
        """(M,) the mixture of sampling documents without regard to domain."""
        share: Array = self.tokens / self.tokens.sum()
        return share


@dataclass(frozen=True)
class Limits:
    """The polytope {r: sum r = 1, floor <= r <= cap, rows r <= bounds}.

    Attributes:
        domains: M names.
        floor: (M,) smallest proportion of each domain.
        cap: (M,) largest proportion of each domain.
        rows: (k, M) coefficients of further linear limits.
        bounds: (k,) right-hand sides.
        reasons: domain -> where its cap comes from, in words.
        names: k, each row as the user wrote it.
        supply: the text at hand, where it is known.
    """

    domains: tuple[str, ...]
    floor: Array
    cap: Array
    rows: Array
    bounds: Array
    reasons: Mapping[str, str]
    names: tuple[str, ...] = ()
    supply: Supply | None = None

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
                    raise Refused(f"the {name} of '{domain}' is {value:g}; {_not_a_proportion(value)}")
                array[limits.domains.index(domain)] = value
                if name == "cap":
                    reasons[domain] = f"cap {value:g}"
        limits = replace(limits, reasons=reasons)
        if available is not None:
            limits = limits._within(_supply(limits.domains, available, budget_tokens, max_epochs))
        limits.check()
        return limits

    def _within(self, supply: Supply) -> "Limits":
        """Lower the caps to what the supply allows."""
        share = supply.max_epochs * supply.per_epoch
        passes = counted(supply.max_epochs, "epoch")
        reasons = {
            domain: f"{passes} of {in_words(tokens)} tokens in {in_words(supply.budget_tokens)}"
            for domain, tokens, is_scarce in zip(self.domains, supply.tokens, share < self.cap, strict=True)
            if is_scarce
        }
        return replace(self, cap=np.minimum(self.cap, share), reasons={**self.reasons, **reasons}, supply=supply)

    def with_rows(self, rows: Array, bounds: Array, names: Sequence[str]) -> "Limits":
        """Add linear limits rows r <= bounds (k, M), (k,); refuse if no mixture meets them all."""
        found = replace(
            self,
            rows=np.vstack([self.rows, rows]),
            bounds=np.concatenate([self.bounds, bounds]),
            names=(*self.names, *names),
        )
        found.check()
        return found

    def with_caps(self, caps: Array, reason: str) -> "Limits":
        """Lower the caps to (M,) where those are smaller, for the reason given; refuse if no mixture is left."""
        lower = caps < self.cap
        reasons = {domain: reason for domain, is_lower in zip(self.domains, lower, strict=True) if is_lower}
        found = replace(self, cap=np.minimum(self.cap, caps), reasons={**self.reasons, **reasons})
        found.check()
        return found

    def with_fixed(self, fixed: Mapping[str, float], reason: str) -> "Limits":
        """Hold domains at one proportion, for the reason given; refuse if a floor, a cap or a row forbids it."""
        floor, cap = self.floor.copy(), self.cap.copy()
        for domain, share in fixed.items():
            place = self.domains.index(one_of(domain, self.domains, "domain"))
            if not floor[place] - 1e-9 <= share <= cap[place] + 1e-9:
                raise Refused(
                    f"'{domain}' is allowed between {floor[place]:.4g} and {cap[place]:.4g}, but held at {share:.4g}, "
                    f"{reason}; allow that, or add runs that vary it"
                )
            floor[place] = cap[place] = share
        found = replace(self, floor=floor, cap=cap, reasons={**self.reasons, **dict.fromkeys(fixed, reason)})
        found.check()
        return found

    def ordered(self, domains: Sequence[str]) -> "Limits":
        """The same limits with the domains in another order.

        Raises:
            Refused: if they are for other domains.
        """
        if set(domains) != set(self.domains):
            raise Refused(f"the limits are for {', '.join(self.domains)}, the law for {', '.join(domains)}")
        order = [self.domains.index(domain) for domain in domains]
        supply = self.supply and replace(self.supply, tokens=self.supply.tokens[order])
        return replace(
            self,
            domains=tuple(domains),
            floor=self.floor[order],
            cap=self.cap[order],
            rows=self.rows[:, order],
            supply=supply,
        )

    def check(self) -> None:
        """Refuse limits that no mixture meets, naming those in conflict and by how much."""
        for index in np.flatnonzero(self.floor > self.cap):
            name = self.domains[index]
            raise Refused(
                f"the floor of '{name}' is {self.floor[index]:g}, above its cap of {self.cap[index]:g} "
                f"({self.reasons.get(name, 'cap')}); lower the floor or raise the cap"
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
        if len(self.rows):
            self._check_rows()

    def _check_rows(self) -> None:
        """Refuse rows that contradict floors, caps or one another, with the least relaxation that would do.

        The linear program lets every limit give way at a price of 1 per unit, though no proportion below 0 or above 1;
        its dual prices are positive exactly for the limits in conflict (Farkas's proof of infeasibility).
        """
        count, extra = len(self.domains), len(self.rows)
        identity = np.eye(count)
        upper = np.vstack([self.rows, identity, -identity])
        bounds = np.concatenate([self.bounds, self.cap, -self.floor])
        give = -np.eye(len(upper))
        answer = linprog(
            np.concatenate([np.zeros(count), np.ones(len(upper))]),
            A_ub=np.hstack([upper, give]),
            b_ub=bounds,
            A_eq=np.concatenate([np.ones(count), np.zeros(len(upper))])[None],
            b_eq=[1.0],
            bounds=[(0, 1)] * count + [(0, None)] * len(upper),
            method="highs",
        )
        if answer.status != 0:
            raise RuntimeError(f"the check of the limits failed: {answer.message}")
        if answer.fun <= 1e-9:
            return
        names = (*self.names, *(f"row {row + 1}" for row in range(len(self.names), extra)))
        caps = [f"{name} <= {cap:.4g}" for name, cap in zip(self.domains, self.cap, strict=True)]
        floors = [f"{name} >= {floor:.4g}" for name, floor in zip(self.domains, self.floor, strict=True)]
        words = [*names, *caps, *floors]
        conflict = [words[place] for place in np.flatnonzero(-answer.ineqlin.marginals > 1e-9)]
        relaxed = [
            f"'{words[place]}' by {answer.x[count + place]:.4g}" for place in np.flatnonzero(answer.x[count:] > 1e-9)
        ]
        raise Refused(
            f"no mixture meets these limits together: {'; '.join(conflict)}; "
            f"for instance, relax {' and '.join(relaxed)}"
        )

    def allows(self, proportions: Array, tolerance: float = 1e-9) -> bool:
        """Whether a mixture (M,) meets every limit to within `tolerance`."""
        return self.violation(proportions) <= tolerance

    def violation(self, proportions: Array) -> float:
        """How far a mixture (M,) is outside the limits: the largest violation of any one; 0 inside."""
        return max(
            abs(float(proportions.sum()) - 1),
            float((self.floor - proportions).max()),
            float((proportions - self.cap).max()),
            float((self.rows @ proportions - self.bounds).max(initial=0.0)),
            0.0,
        )


def _supply(
    domains: tuple[str, ...], available: Mapping[str, float], budget_tokens: float | None, max_epochs: float
) -> Supply:
    if budget_tokens is None or not 0 < budget_tokens < np.inf:
        raise Refused("available tokens limit a mixture only for a budget; give --tokens, the tokens to be trained on")
    if not (np.isfinite(max_epochs) and max_epochs > 0):
        raise Refused(f"max epochs is {max_epochs:g}; it must be a positive number")
    for domain, tokens in available.items():
        one_of(domain, domains, "domain")
        if not (np.isfinite(tokens) and tokens >= 0):
            raise Refused(f"available tokens of '{domain}' are {tokens}; they must be a number of at least 0")
    lacking = [domain for domain in domains if domain not in available]
    if lacking:
        raise Refused(f"available tokens are not given for {', '.join(lacking)}; give every domain")
    return Supply(np.array([float(available[domain]) for domain in domains]), float(budget_tokens), float(max_epochs))


def _not_a_proportion(value: float) -> str:
    if value > 100:
        return "a proportion lies between 0 and 1; tokens are given with --available"
    if value > 1:
        return f"a proportion lies between 0 and 1; for {value:g}% write {value / 100:g}"
    return "a proportion lies between 0 and 1"
