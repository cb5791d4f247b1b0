"""A surface read at one scale, as a law of the mixture: a constant and positive terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.mixture import Array
from mixlaw.surfaces.terms import SMALLEST_PROPORTION


@dataclass(frozen=True)
class SurfaceLaw(MixingLaw):
    """loss(r) = c + sum_k exp(u_k . r) + 1 / sum_j C_j (r_j + eps)^g_j + sum_k s_k (sum_j A_kj (r_j + eps))^p_k.

    What parametric surfaces are at one model size and token count; each uses some of the terms. Exponentials are
    convex, the reciprocal is for g in (0, 1], and a power of a positive linear function is unless its exponent lies in
    (0, 1).

    Attributes:
        constant: (V,) c, nats per token.
        exponentials: (V, K, M) u; K may be 0.
        heights: (V, M) log C, and `exponents` (V, M) g; both (V, 0) without the reciprocal term.
        bases: (V, K, M) log A, with `powers` (V, K) p and `scales` (V, K) s; K may be 0.
    """

    constant: Array
    exponentials: Array
    heights: Array
    exponents: Array
    bases: Array
    powers: Array
    scales: Array

    kind: ClassVar[str] = "surface"

    @classmethod
    def of(
        cls,
        domains: tuple[str, ...],
        targets: tuple[str, ...],
        constant: Array,
        *,
        exponentials: Array | None = None,
        reciprocal: tuple[Array, Array] | None = None,
        powers: tuple[Array, Array, Array] | None = None,
    ) -> Self:
        """Build from the terms there are."""
        count, width = len(targets), len(domains)
        nothing = np.zeros((count, 0, width))
        heights, exponents = (np.zeros((count, 0)),) * 2 if reciprocal is None else reciprocal
        bases, raised, scales = (nothing, np.zeros((count, 0)), np.zeros((count, 0))) if powers is None else powers
        exponentials = nothing if exponentials is None else exponentials
        return cls(domains, targets, constant, exponentials, heights, exponents, bases, raised, scales)

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Not fitted to one scale: its terms are told apart by several.

        Raises:
            Refused: always.
        """
        raise Refused("this law is a surface read at one scale; fit the surface, with --scale")

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M)."""
        losses = self.constant + np.exp(np.einsum("nm,vkm->nvk", proportions, self.exponentials)).sum(axis=2)
        if self.heights.shape[1]:
            losses = losses + 1 / self._reciprocal_parts(proportions).sum(axis=2)
        bases = self._bases(proportions)
        total: Array = losses + (self.scales * bases**self.powers).sum(axis=2)
        return total

    def slope(self, proportions: Array) -> Array:
        """Gradient (V, M)."""
        grown = np.exp(self.exponentials @ proportions)
        slope = np.einsum("vk,vkm->vm", grown, self.exponentials)
        if self.heights.shape[1]:
            parts = self._reciprocal_parts(proportions[None])[0]
            first = parts * self.exponents / (proportions + SMALLEST_PROPORTION)
            slope = slope - first / parts.sum(axis=1, keepdims=True) ** 2
        bases = self._bases(proportions[None])[0]
        factor = self.scales * self.powers * bases ** (self.powers - 1)
        gradient: Array = slope + np.einsum("vk,vkm->vm", factor, np.exp(self.bases))
        return gradient

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian of the weighted sum: one row of the root a term and target, and the reciprocal's diagonal."""
        grown = weights[:, None] * np.exp(self.exponentials @ proportions)
        rows = [(np.sqrt(grown)[:, :, None] * self.exponentials).reshape(-1, len(self.domains))]
        diagonal = np.zeros(len(self.domains))
        if self.heights.shape[1]:
            shifted = proportions + SMALLEST_PROPORTION
            parts = self._reciprocal_parts(proportions[None])[0]
            total = parts.sum(axis=1, keepdims=True)
            rows.append(np.sqrt(2 * weights[:, None] / total**3) * parts * self.exponents / shifted)
            bent = parts * self.exponents * (1 - self.exponents) / shifted**2
            diagonal = (weights[:, None] * bent / total**2).sum(axis=0)
        factor = weights[:, None] * self.scales * self.powers * (self.powers - 1)
        factor = factor * self._bases(proportions[None])[0] ** (self.powers - 2)
        rows.append((np.sqrt(np.maximum(factor, 0.0))[:, :, None] * np.exp(self.bases)).reshape(-1, len(self.domains)))
        return Curvature(np.concatenate(rows), diagonal)

    @property
    def convex(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """(V,) all exponents of the reciprocal at most 1, and no power in (0, 1)."""
        concave = ((self.powers > 0) & (self.powers < 1) & (self.scales > 0)).any(axis=1)
        return np.asarray((self.exponents <= 1).all(axis=1) & ~concave, dtype=np.bool_)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative (V, n, p) in c, u, log C, log g, and for each power log A and p."""
        count, targets = len(proportions), len(self.targets)
        grown = np.exp(np.einsum("nm,vkm->vnk", proportions, self.exponentials))
        found = [np.ones((targets, count, 1))]
        found += [grown[:, :, k, None] * proportions for k in range(grown.shape[2])]
        if self.heights.shape[1]:
            parts = self._reciprocal_parts(proportions).transpose(1, 0, 2)
            first = -parts / parts.sum(axis=2, keepdims=True) ** 2
            logs = np.log(proportions + SMALLEST_PROPORTION)
            found += [first, first * self.exponents[:, None] * logs]
        bases = self._bases(proportions)
        for k in range(bases.shape[2]):
            base, power = bases[:, :, k].T, self.powers[:, k, None]
            value = self.scales[:, k, None] * base**power
            inner = np.exp(self.bases[:, None, k]) * (proportions + SMALLEST_PROPORTION) / base[:, :, None]
            found += [(value * power)[:, :, None] * inner, (value * np.log(base))[:, :, None]]
        return np.concatenate(found, axis=2)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """1: without several scales only the loss itself can be told."""
        return 1

    def parameters(self) -> dict[str, Any]:
        """Every array by its name."""
        return {name: getattr(self, name).tolist() for name in self._shapes()}

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        arrays = {}
        for name, empty in cls._shapes().items():
            array = np.array(parameters[name], dtype=float)
            arrays[name] = (
                array if array.size else np.zeros((len(targets), *(len(domains) if n < 0 else n for n in empty)))
            )
        return cls(domains, targets, **arrays)

    @staticmethod
    def _shapes() -> dict[str, tuple[int, ...]]:
        """Each array's shape after V where it is empty; -1 stands for M."""
        return {
            "constant": (),
            "exponentials": (0, -1),
            "heights": (0,),
            "exponents": (0,),
            "bases": (0, -1),
            "powers": (0,),
            "scales": (0,),
        }

    def _reciprocal_parts(self, proportions: Array) -> Array:
        """C_j (r_j + eps)^g_j, shape (n, V, M)."""
        logs = np.log(proportions + SMALLEST_PROPORTION)
        parts: Array = np.exp(self.heights + self.exponents * logs[:, None])
        return parts

    def _bases(self, proportions: Array) -> Array:
        """sum_j A_kj (r_j + eps), shape (n, V, K)."""
        bases: Array = np.einsum("nm,vkm->nvk", proportions + SMALLEST_PROPORTION, np.exp(self.bases))
        return bases
