"""Loss when data are repeated: later passes over the same tokens teach less and less."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.optimize import least_squares

from mixlaw.errors import Refused
from mixlaw.mixture import Array, Mixture
from mixlaw.wording import counted

TOKEN_LIFETIME, SIZE_LIFETIME = 15.387756, 5.309743
"""R_D* and R_N*: repetitions after which 1 - 1/e of all that repeating can give is spent (2305.16264)."""

STARTS = (1.0, 5.0, 25.0)
"""Lifetimes from which a fit begins."""


@dataclass(frozen=True)
class DataConstrained:
    """L = E + A / N_eff^alpha + B / D_eff^beta, params and tokens discounted for repetition.

    D_eff = U + U R_D* (1 - exp(-R_D / R_D*)) for U unique tokens seen R_D times more than once. N_eff is the same of
    the params that U unique tokens call for, so a model too large for its data is worth less than its size. The
    defaults are the published constants (Muennighoff et al. 2023, 2305.16264).

    Attributes:
        irreducible: E, nats per token.
        size_height, size_exponent: A and alpha, for N in parameters.
        token_height, token_exponent: B and beta, for D in tokens.
        token_lifetime, size_lifetime: R_D* and R_N*.
    """

    irreducible: float = float(np.exp(0.6254804))
    size_height: float = float(np.exp(6.255414))
    size_exponent: float = 0.3526596
    token_height: float = float(np.exp(7.3049974))
    token_exponent: float = 0.3526596
    token_lifetime: float = TOKEN_LIFETIME
    size_lifetime: float = SIZE_LIFETIME

    def loss(self, params: Array | float, tokens: Array | float, unique: Array | float) -> Array:
        """Loss of training on `tokens`, of which `unique` are different; numbers or arrays that broadcast.

        Raises:
            Refused: for counts that are not positive.
        """
        params, tokens, unique = (np.asarray(value, dtype=float) for value in (params, tokens, unique))
        for name, values in (("params", params), ("tokens", tokens), ("unique tokens", unique)):
            if not (np.isfinite(values).all() and (values > 0).all()):
                raise Refused(f"{name} must be positive numbers; found {float(np.min(values)):g}")
        needed = np.minimum(params, self.optimal_params(unique))
        by_size = self.size_height * effective(params, needed, self.size_lifetime) ** -self.size_exponent
        by_tokens = self.token_height * effective(tokens, unique, self.token_lifetime) ** -self.token_exponent
        losses: Array = self.irreducible + by_size + by_tokens
        return losses

    def optimal_params(self, unique: Array | float) -> Array:
        """Params of Chinchilla's optimum for so many unique tokens.

        (U G)^(beta / alpha) G with G = (alpha A / (beta B))^(1 / (alpha + beta)).
        """
        alpha, beta = self.size_exponent, self.token_exponent
        ratio = (alpha * self.size_height / (beta * self.token_height)) ** (1 / (alpha + beta))
        called_for: Array = (np.asarray(unique, dtype=float) * ratio) ** (beta / alpha) * ratio
        return called_for


def effective(used: Array | float, unique: Array | float, lifetime: float) -> Array:
    """What `used` tokens are worth in unique ones: all of the first pass, then U R* (1 - exp(-R / R*)) more.

    Increasing and concave in `used`, with slope 1 up to the first full pass.

    Args:
        used: tokens trained on, or params.
        unique: different ones among them, positive.
        lifetime: R*, repetitions after which repeating has given 1 - 1/e of all it can.
    """
    repeats = np.maximum(np.asarray(used, dtype=float) / unique - 1, 0.0)
    worth: Array = np.minimum(used, unique) + unique * lifetime * -np.expm1(-repeats / lifetime)
    return worth


def effective_tokens(
    mixture: Mixture, budget_tokens: float, available: Mapping[str, float], lifetime: float = TOKEN_LIFETIME
) -> dict[str, float]:
    """What a budget spent on a mixture is worth in unique tokens of each domain.

    A domain that is run through several times counts for less than its proportion; `Mixture.epochs` says how often.

    Args:
        mixture: proportions of the budget.
        budget_tokens: tokens to be trained on.
        available: unique tokens of each domain.
        lifetime: R*, repetitions after which repeating has given 1 - 1/e of all it can.

    Raises:
        Refused: if a domain with a positive proportion has no available tokens.
    """
    passes = mixture.epochs(budget_tokens, available)
    return {
        domain: float(effective(count * available[domain], available[domain], lifetime)) if count > 0 else 0.0
        for domain, count in passes.items()
    }


def fit_lifetimes(law: DataConstrained, params: Array, tokens: Array, unique: Array, losses: Array) -> DataConstrained:
    """Fit R_D* and R_N* to runs that repeat their data, the rest of the law held fixed.

    Least squares of log residuals in the logarithms of the two lifetimes, from nine starts; the best end is returned.

    Args:
        law: with irreducible loss, heights and exponents from runs that do not repeat.
        params, tokens, unique, losses: (n,) each.

    Raises:
        Refused: if fewer than three runs repeat their data.
    """
    repeated = int((tokens > 1.01 * unique).sum())
    if repeated < 3:
        raise Refused(f"only {counted(repeated, 'run')} repeated any data; two lifetimes need at least 3 that do")

    def with_lifetimes(logs: Array) -> DataConstrained:
        return replace(law, token_lifetime=float(np.exp(logs[0])), size_lifetime=float(np.exp(logs[1])))

    def residual(logs: Array) -> Array:
        return np.asarray(np.log(with_lifetimes(logs).loss(params, tokens, unique) / losses), dtype=np.float64)

    limits = (np.log(1e-2), np.log(1e4))
    ends = [
        least_squares(residual, np.log(start), bounds=limits, jac="3-point", ftol=1e-15, xtol=1e-15, gtol=1e-15)
        for start in product(STARTS, STARTS)
    ]
    best = min(ends, key=lambda end: float(end.cost))
    return with_lifetimes(best.x)
