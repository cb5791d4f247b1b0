"""What every mixing law is: a loss of the mixture, at one scale, for several targets at once."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Curvature:
    """A Hessian as `rootᵀ root + diag(diagonal)`: low rank plus diagonal, the form the optimiser solves fast.

    Attributes:
        root: (k, M), k is at most the number of targets (times terms of the law).
        diagonal: (M,), at least 0 for a convex law.
    """

    root: Array
    diagonal: Array


@dataclass(frozen=True)
class MixingLaw(ABC):
    """Loss of each target as a function of the mixture alone: model size and tokens are held fixed.

    A law is frozen data; it predicts, differentiates and fits itself, for all V targets at once. Laws are compared and
    tested by their predictions, since raw parameters need not be unique (Ye et al. 2024, 2403.16952: k and t are not).

    Adding one: subclass in a file of its own, give it a `kind`, and list it in `mixlaw.laws.LAWS`.
    """

    domains: tuple[str, ...]
    targets: tuple[str, ...]

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> "MixingFit":
        """Fit all targets to measured runs, deterministically.

        Args:
            domains: M names.
            targets: V names.
            proportions: (n, M), one row a run; rows sum to 1.
            losses: (n, V), nats per token; NaN = not measured, handled target by target.

        Raises:
            Refused: if a target has too few runs for this law.
        """

    @abstractmethod
    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M), nats per token."""

    @abstractmethod
    def slope(self, proportions: Array) -> Array:
        """Gradient in the mixture at one mixture (M,): shape (V, M), nats per token per unit of proportion."""

    def curvature(self, proportions: Array, weights: Array) -> Curvature:
        """Hessian in the mixture of the weighted sum of the targets' losses at one mixture (M,); weights (V,) >= 0.

        Only for laws that are convex in every target with a positive weight.
        """
        raise NotImplementedError(f"{self.kind} has no curvature")

    @property
    def convex(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """(V,) whether the loss of each target is a convex function of the mixture on the simplex."""
        return np.zeros(len(self.targets), dtype=bool)

    def parameter_slope(self, proportions: Array) -> Array:
        """Derivative of predictions (n, V) in the law's free parameters, shape (V, n, p); the delta method needs it."""
        raise NotImplementedError(f"{self.kind} has no parameters to differentiate")

    @classmethod
    @abstractmethod
    def identifiable(cls, domain_count: int) -> int:
        """Number of parameters per target that data on the simplex can tell apart, for M domains."""

    def parameters(self) -> dict[str, Any]:
        """Everything but domains and targets, as JSON values; `from_parameters` is its inverse.

        As it stands, the law's own attributes by name: arrays as lists, numbers and text as they are.
        """
        own = {field.name: getattr(self, field.name) for field in fields(self)[2:]}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in own.items()}

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild a law from `parameters()`, to the last bit.

        Raises:
            Refused: if the parameters are not those of this law.
        """
        own = [field.name for field in fields(cls)[2:]]
        if sorted(own) != sorted(parameters):
            found = ", ".join(sorted(map(str, parameters))) or "none"
            raise Refused(
                f"the parameters of the {cls.kind} law are {', '.join(own)}; found {found}: fit the law again"
            )
        values = {name: parameters[name] for name in own}
        return cls(
            domains, targets, **{n: np.array(v, dtype=float) if isinstance(v, list) else v for n, v in values.items()}
        )


@dataclass(frozen=True)
class MixingFit:
    """A fitted law and what is needed to say how sure it is.

    Attributes:
        law: the law.
        noise: (V,) standard deviation of a run's residual, nats per token, from the effective degrees of freedom.
        freedom: (V,) residual degrees of freedom, at least 1.
        weights: (n, V) robust weights in [0, 1]; 0 where the loss was not measured.
        prior: (V, p, p) precision that priors or ridge add to the parameters' normal matrix, in units of 1 / noise².
        objective: (V,) the minimised objective, nats² per token².
        notes: what the fit found worth saying, by target: parameters at a bound, irreducible loss not identified.
    """

    law: MixingLaw
    noise: Array
    freedom: Array
    weights: Array
    prior: Array
    objective: Array
    notes: Mapping[str, tuple[str, ...]]
