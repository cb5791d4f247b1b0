"""What a target feels of a run that reads two mixtures in turn, as a law of both. Experimental.

A run reads a mixture r1 for the first 1 - s of its tokens and r2 for the last s. What is read last is remembered best,
so a target is taken to feel one mixture throughout,

    e = (1 - w) r1 + w r2,     w = k s / ((1 - s) + k s),

where k, the recency, is how much a token of the final phase counts for each of the phase before. With k = 1 order does
not matter and e is what is read in all; with k = 0 the final phase leaves no trace. e is linear in (r1, r2), so a law
that is convex in the mixture is convex in both.

How k depends on the length of the final phase is for runs to say. What is read while the rate falls to 0 leaves little
trace, so a short final phase may count less for each token than a long one: the odds w / (1 - w) are taken to grow as
s / (1 - s) to a power p, and k as it to the power p - 1. With p = 1 one k serves all lengths, as if the places u of a
run had the density k / ((1 - u) k + u)**2; where the rate falls in a line over the final phase, p = 2 is to be
expected, for what the tail learns is then its length squared.

The question is that of Blakeney et al. (2024, arXiv 2406.03476), who raise small good domains at the end of training;
the answer is a model of ours. That k and p are the same for every target is its assumption, which
`mixlaw.optimize.recency` holds against runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.limits import Limits
from mixlaw.mixture import Array

BASE, FINAL = " (base)", " (final)"
"""What the domains of the two phases are called where both are asked about at once."""

REASON = "counted in tokens of the whole run, of which each phase reads its share"


def felt_share(final_share: float | Array, recency: float | Array) -> Any:
    """w, the share of what a target feels that a final phase makes up."""
    return recency * final_share / (1 - final_share + recency * final_share)


def felt(base: Array, final: Array, final_share: float | Array, recency: float | Array) -> Array:
    """The mixtures (n, M) that targets feel of runs on `base` (n, M), then `final` (n, M) for a share (n,) or one."""
    share = np.asarray(felt_share(np.asarray(final_share, dtype=float), recency))[..., None]
    mixture: Array = (1 - share) * base + share * final
    return mixture


def base_of(total: Array, final: Array, final_share: Array) -> Array:
    """The mixtures (n, M) before the final phases of runs that read `total` (n, M) in all.

    A proportion that rounding has made negative is 0.
    """
    share = final_share[:, None]
    rest = np.maximum((total - share * final) / (1 - share), 0.0)
    base: Array = rest / rest.sum(axis=1, keepdims=True)
    return base


@dataclass(frozen=True)
class Staged(MixingLaw):
    """A law of one mixture, asked about two in turn: loss(e), with x = ((1 - s) r1, s r2) for a mixture of 2M domains.

    It is made from a fitted law and a recency, never fitted itself. x sums to 1: the tokens of the whole run, by domain
    and phase.

    Attributes:
        law: of one mixture throughout.
        final_share: s.
        recency: k.
    """

    law: MixingLaw
    final_share: float
    recency: float

    kind: ClassVar[str] = "staged"

    @classmethod
    def of(cls, law: MixingLaw, final_share: float, recency: float) -> "Staged":
        """The law of both phases."""
        domains = tuple(domain + phase for phase in (BASE, FINAL) for domain in law.domains)
        return cls(domains, law.targets, law, final_share, recency)

    @property
    def felt(self) -> Array:
        """(M, 2M), the matrix that takes x to e."""
        each = np.eye(len(self.law.domains)) / (1 - self.final_share + self.recency * self.final_share)
        return np.hstack([each, self.recency * each])

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of x (n, 2M)."""
        return self.law.predict(proportions @ self.felt.T)

    def slope(self, proportions: Array) -> Array:
        """(V, 2M)."""
        felt = self.felt
        return self.law.slope(felt @ proportions) @ felt

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """The law's curvature at e; its diagonal couples the two phases, so all of it is root."""
        felt = self.felt
        inner = self.law.curvature(felt @ proportions, weights)
        root = np.vstack([inner.root @ felt, np.sqrt(np.maximum(inner.diagonal, 0.0))[:, None] * felt])
        return Curvature(root, np.zeros(felt.shape[1]))

    @property
    def convex(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """(V,) as the law."""
        return self.law.convex

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative in the law's parameters, at e."""
        return self.law.parameter_slope(proportions @ self.felt.T)

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Refused: fit a law to runs of one mixture, and a recency to runs of two."""
        raise Refused("a staged law is not fitted itself; fit a law of one mixture, and a recency beside it")

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """The recency."""
        return 1

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Refused: it is made from a law and a recency."""
        raise Refused("a staged law is made from a law and a recency, not read from a file")


def limits_in_turn(whole: Limits, base: Limits, final: Limits, final_share: float) -> Limits:
    """Limits on x = ((1 - s) r1, s r2): those on the whole run, and those on each phase.

    Args:
        whole: on what is read in all; the text at hand among them.
        base, final: on the mixture of each phase.
        final_share: s.

    Raises:
        Refused: if no pair of mixtures meets them, naming those in conflict.
    """
    domains, share = whole.domains, final_share
    count, both = len(domains), np.hstack([np.eye(len(domains))] * 2)
    in_final = np.concatenate([np.zeros(count), np.ones(count)])
    floor = np.concatenate([(1 - share) * base.floor, share * final.floor])
    cap = np.concatenate([np.minimum((1 - share) * base.cap, whole.cap), np.minimum(share * final.cap, whole.cap)])
    capped = np.flatnonzero(cap[:count] + cap[count:] > whole.cap)
    floored = np.flatnonzero(floor[:count] + floor[count:] < whole.floor)
    phases = [np.hstack([base.rows, 0 * base.rows]), np.hstack([0 * final.rows, final.rows])]
    rows = [in_final[None], -in_final[None], both[capped], -both[floored], whole.rows @ both, *phases]
    bounds = [[share], [-share], whole.cap[capped], -whole.floor[floored], whole.bounds]
    bounds += [(1 - share) * base.bounds, share * final.bounds]
    names = (
        f"final phase <= {share:g}",
        f"final phase >= {share:g}",
        *(f"{domains[j]} in all <= {whole.cap[j]:.4g}" for j in capped),
        *(f"{domains[j]} in all >= {whole.floor[j]:.4g}" for j in floored),
        *(f"{name} in all" for name in whole.names),
        *(f"{name} in the base phase" for name in base.names),
        *(f"{name} in the final phase" for name in final.names),
    )
    found = Limits(
        domains=tuple(domain + phase for phase in (BASE, FINAL) for domain in domains),
        floor=floor,
        cap=cap,
        rows=np.vstack(rows),
        bounds=np.concatenate([np.asarray(bound, dtype=float) for bound in bounds]),
        reasons={domain + phase: REASON for phase in (BASE, FINAL) for domain in domains},
        names=names,
    )
    found.check()
    return found
