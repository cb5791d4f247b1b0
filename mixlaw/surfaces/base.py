"""What every surface is: a loss of mixture, model size and tokens, read at one scale as a mixing law."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.mixture import Array
from mixlaw.runs import RunTable


@dataclass(frozen=True)
class FitAtScale:
    """A mixing law at one model size and token count, with what is known of its error there.

    Attributes:
        fit: the mixing law and its residuals.
        proportions: (n, M) the mixtures the law rests on.
        losses: (n, V) the losses it was fitted to, nats per token: measured at this scale, or carried to it; NaN = not
            measured. What the law leaves of them says how targets err together.
        groups: (n,) integer, the same for repeats of one mixture, so that repeats do not fake certainty.
        scale_error: (V,) standard deviation of carrying the losses to this scale, nats per token, shared by all
            mixtures; 0 where the losses were measured at this scale.
        warnings: how far from the evidence this scale is, in words.
        run_noise: (V,) standard deviation of a single run about what was carried of its mixture, nats per token: the
            losses of several checkpoints and sizes are smoother than those of one run; None where they are of one run.
    """

    fit: MixingFit
    proportions: Array
    losses: Array
    groups: NDArray[np.int64]
    scale_error: Array
    warnings: tuple[str, ...] = ()
    run_noise: Array | None = None


@dataclass(frozen=True)
class Surface(ABC):
    """Loss of each target as a function of mixture, params and tokens.

    Adding one: subclass in a file of its own, give it a `scale` name, and list it in `mixlaw.surfaces.SURFACES`.
    """

    domains: tuple[str, ...]
    targets: tuple[str, ...]

    scale: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, table: RunTable, family: type[MixingLaw]) -> Self:
        """Fit to a run table, deterministically.

        Args:
            table: checked runs; rows of one run are one training curve.
            family: the mixing law to use at each scale, where the surface leaves that open.

        Raises:
            Refused: if the table lacks the sizes, token counts or runs that this surface needs, saying which.
        """

    @abstractmethod
    def at(self, params: float | None = None, tokens: float | None = None) -> FitAtScale:
        """The mixing law at one scale; None means the largest scale measured.

        Raises:
            Refused: for a scale the surface cannot reach.
        """

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Everything but domains and targets, as JSON values; `from_parameters` is its inverse."""

    @classmethod
    @abstractmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild a surface from `parameters()`."""
