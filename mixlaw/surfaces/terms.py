"""Losses that are sums of positive terms in mixture, size and tokens, with their first and second derivatives."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlaw.laws.levenberg import Curve
from mixlaw.mixture import Array

SMALLEST_PROPORTION = 1e-4
"""Added to proportions under a power, so that a domain left out has a finite slope."""

LARGEST_LOG = 50.0
"""Logarithms of terms are held below this: a trial step may overshoot, but not overflow."""


class Term(ABC):
    """exp(l(theta)) at n runs; l is given by its value, gradient and Hessian in the columns of theta that it uses."""

    columns: slice

    @abstractmethod
    def log(self, theta: Array) -> Array:
        """l, shape (B, n), for the term's own columns of theta (B, q)."""

    @abstractmethod
    def slopes(self, theta: Array) -> Array:
        """Gradient of l, (B, n, q)."""

    @abstractmethod
    def bend(self, theta: Array, pull: Array) -> Array:
        """Hessian of l summed over runs with factors `pull` (B, n): (B, q, q)."""


@dataclass(frozen=True)
class Falling(Term):
    """exp(rows . u - x exp(kappa)): a power law in x = log(N / N0), its height exponential in what `rows` hold.

    `rows` of ones give A N^-alpha with alpha = exp(kappa); the mixtures as rows give a height that depends on them.
    Without `x` the term does not fall: exp(rows . u), and kappa is not there.
    """

    columns: slice
    rows: Array
    x: Array | None

    def log(self, theta: Array) -> Array:
        """rows . u - x exp(kappa)."""
        count = self.rows.shape[1]
        flat = theta[:, :count] @ self.rows.T
        return np.minimum(flat if self.x is None else flat - self.x * np.exp(theta[:, count:]), LARGEST_LOG)

    def slopes(self, theta: Array) -> Array:
        """rows in u, -x exp(kappa) in kappa."""
        rows = np.broadcast_to(self.rows, (len(theta), *self.rows.shape))
        if self.x is None:
            return rows
        fall = -self.x * np.exp(theta[:, self.rows.shape[1] :])
        return np.concatenate([rows, fall[:, :, None]], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """Only kappa bends: -x exp(kappa)."""
        count = theta.shape[1]
        hessian = np.zeros((len(theta), count, count))
        if self.x is not None:
            hessian[:, -1, -1] = -(pull * self.x * np.exp(theta[:, -1:])).sum(axis=1)
        return hessian


@dataclass(frozen=True)
class Reciprocal(Term):
    """1 / sum_j C_j (r_j + eps)^g_j, with log C in the first M columns and log g in the next M."""

    columns: slice
    logs: Array

    @classmethod
    def of(cls, columns: slice, proportions: Array) -> "Reciprocal":
        """The term at mixtures (n, M)."""
        return cls(columns, np.log(proportions + SMALLEST_PROPORTION))

    def log(self, theta: Array) -> Array:
        """-log sum."""
        return -_log_sum(self._parts(theta))

    def slopes(self, theta: Array) -> Array:
        """Minus each domain's share of the sum, times 1 for log C and g log r for log g."""
        share, inner = self._shares(theta)
        return -np.concatenate([share, share * inner], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """Minus the covariance of the inner derivatives under the shares, and g log r once more for log g."""
        share, inner = self._shares(theta)
        first = np.concatenate([share, share * inner], axis=2)
        weighted = first * pull[:, :, None]
        hessian: Array = np.matmul(weighted.transpose(0, 2, 1), first)
        count = self.logs.shape[1]
        place = np.arange(count)
        ones = -(share * pull[:, :, None]).sum(axis=1)
        cross = -(share * inner * pull[:, :, None]).sum(axis=1)
        second = -(share * inner * (inner + 1) * pull[:, :, None]).sum(axis=1)
        hessian[:, place, place] += ones
        hessian[:, place, count + place] += cross
        hessian[:, count + place, place] += cross
        hessian[:, count + place, count + place] += second
        return hessian

    def _parts(self, theta: Array) -> Array:
        count = self.logs.shape[1]
        parts: Array = theta[:, None, :count] + np.exp(theta[:, None, count:]) * self.logs
        return parts

    def _shares(self, theta: Array) -> tuple[Array, Array]:
        """Share of each domain in the sum, and the derivative of its logarithm in log g: both (B, n, M)."""
        parts = self._parts(theta)
        share = np.exp(parts - _log_sum(parts)[:, :, None])
        return share, np.exp(theta[:, None, self.logs.shape[1] :]) * self.logs


@dataclass(frozen=True)
class LinearPower(Term):
    """(sum_j C_j r_j)^g exp(-x exp(kappa)): a power law in x whose height is a power of a linear function.

    Columns: log C_1 ... log C_M, g, kappa.
    """

    columns: slice
    logs: Array
    x: Array

    @classmethod
    def of(cls, columns: slice, proportions: Array, x: Array) -> "LinearPower":
        """The term at mixtures (n, M) and x (n,)."""
        return cls(columns, np.log(proportions + SMALLEST_PROPORTION), x)

    def log(self, theta: Array) -> Array:
        """g log sum - x exp(kappa)."""
        inner = _log_sum(theta[:, None, :-2] + self.logs)
        return np.minimum(theta[:, -2:-1] * inner - self.x * np.exp(theta[:, -1:]), LARGEST_LOG)

    def slopes(self, theta: Array) -> Array:
        """g times the shares, log sum, -x exp(kappa)."""
        inner = _log_sum(theta[:, None, :-2] + self.logs)
        share = np.exp(theta[:, None, :-2] + self.logs - inner[:, :, None])
        fall = -self.x * np.exp(theta[:, -1:])
        return np.concatenate([theta[:, -2, None, None] * share, inner[:, :, None], fall[:, :, None]], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        """g (diag(share) - share share'), the shares between log C and g, and -x exp(kappa) for kappa."""
        inner = _log_sum(theta[:, None, :-2] + self.logs)
        share = np.exp(theta[:, None, :-2] + self.logs - inner[:, :, None])
        count = self.logs.shape[1]
        hessian = np.zeros((len(theta), count + 2, count + 2))
        weighted = share * pull[:, :, None]
        summed = weighted.sum(axis=1)
        spread = -np.matmul(weighted.transpose(0, 2, 1), share)
        spread[:, np.arange(count), np.arange(count)] += summed
        hessian[:, :count, :count] = theta[:, -2, None, None] * spread
        hessian[:, :count, count] = hessian[:, count, :count] = summed
        hessian[:, -1, -1] = -(pull * self.x * np.exp(theta[:, -1:])).sum(axis=1)
        return hessian


@dataclass(frozen=True)
class SumOfTerms(Curve):
    """theta_0 + sum of terms: the first parameter is the irreducible loss, the others are the terms' own."""

    terms: Sequence[Term]

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        values: Array = theta[:, :1] + sum(np.exp(term.log(theta[:, term.columns])) for term in self.terms)
        return values

    def slopes(self, theta: Array) -> Array:
        """(B, n, p)."""
        found = [np.exp(term.log(theta[:, term.columns])) for term in self.terms]
        slopes = np.zeros((*found[0].shape, theta.shape[1]))
        slopes[:, :, 0] = 1.0
        for term, value in zip(self.terms, found, strict=True):
            slopes[:, :, term.columns] = value[:, :, None] * term.slopes(theta[:, term.columns])
        return slopes

    def bend(self, theta: Array, pull: Array) -> Array:
        """(B, p, p): of each term exp(l), exp(l) (l' l'^T + l'')."""
        hessian = np.zeros((len(theta), theta.shape[1], theta.shape[1]))
        for term in self.terms:
            own = theta[:, term.columns]
            factor = pull * np.exp(term.log(own))
            slopes = term.slopes(own)
            outer = np.matmul((slopes * factor[:, :, None]).transpose(0, 2, 1), slopes)
            hessian[:, term.columns, term.columns] = outer + term.bend(own, factor)
        return hessian


@dataclass(frozen=True)
class LogOf(Curve):
    """The logarithm of another curve, for residuals that are relative."""

    curve: Curve

    def values(self, theta: Array) -> Array:
        """(B, n)."""
        logs: Array = np.log(np.maximum(self.curve.values(theta), np.finfo(float).tiny))
        return logs

    def slopes(self, theta: Array) -> Array:
        """(B, n, p)."""
        return self.curve.slopes(theta) / self.curve.values(theta)[:, :, None]

    def bend(self, theta: Array, pull: Array) -> Array:
        """Of log f: f'' / f - f' f'^T / f^2."""
        relative = pull / self.curve.values(theta)
        slopes = self.slopes(theta)
        outer: Array = np.matmul((slopes * pull[:, :, None]).transpose(0, 2, 1), slopes)
        return self.curve.bend(theta, relative) - outer


def _log_sum(parts: Array) -> Array:
    """log sum exp over the last axis."""
    top = parts.max(axis=-1)
    logs: Array = top + np.log(np.exp(parts - top[..., None]).sum(axis=-1))
    return logs
