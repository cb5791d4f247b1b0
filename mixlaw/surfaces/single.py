"""Runs of one size and token count: the law of the mixture alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.mixture import Array, groups_of
from mixlaw.runs import RunTable
from mixlaw.surfaces.arrays import array_of, lists, numbers_of
from mixlaw.surfaces.base import FitAtScale, Surface
from mixlaw.surfaces.curves import distinct, same_scale
from mixlaw.wording import in_words

NEARLY_ALL = 0.9
"""A larger scale is preferred when it has at least this share of the mixtures that the best covered scale has."""

REFIT_TOLERANCE = 1e-3
"""How far, in units of the noise, a law read from a file may be from the one that its measured losses give."""


@dataclass(frozen=True)
class Single(Surface):
    """One scale: nothing is carried, so the law is as sure as its runs.

    Of a table with several scales, the largest one that nearly all mixtures share is used: the law compares mixtures,
    and mixtures are comparable at one scale only.

    Attributes:
        fitted: the mixing law, with what its fit left over.
        params, tokens: the scale of the runs.
        proportions: (n, M), one row a run.
        losses: (n, V), nats per token; NaN = not measured.
    """

    fitted: MixingFit
    params: float
    tokens: float
    proportions: Array
    losses: Array

    scale: ClassVar[str] = "none"

    @classmethod
    def fit(cls, table: RunTable, family: type[MixingLaw]) -> Self:
        """Fit the law of the mixture to the runs of `common_scale`."""
        params, tokens, part = common_scale(table)
        fitted = family.fit(table.domains, table.targets, part.proportions, part.losses)
        return cls(table.domains, table.targets, fitted, params, tokens, part.proportions, part.losses)

    def at(self, params: float | None = None, tokens: float | None = None) -> FitAtScale:
        """The law at the scale of its runs, the only one it knows."""
        for name, asked, known in (("params", params, self.params), ("tokens", tokens, self.tokens)):
            if asked is not None and not same_scale(np.array([asked]), known)[0]:
                raise Refused(
                    f"the law knows one scale, {in_words(self.params)} params and {in_words(self.tokens)} tokens, and "
                    f"was asked for {name} {in_words(asked)}; leave --{name} out, or fit runs of several sizes or "
                    "token counts with --scale auto"
                )
        return FitAtScale(
            fit=self.fitted,
            proportions=self.proportions,
            losses=self.losses,
            groups=groups_of(self.proportions),
            scale_error=np.zeros(len(self.targets)),
        )

    def parameters(self) -> dict[str, Any]:
        """The law, its scale, and the runs it was fitted to."""
        return {
            "law": self.fitted.law.kind,
            "fitted": self.fitted.law.parameters(),
            "params": self.params,
            "tokens": self.tokens,
            "proportions": lists(self.proportions),
            "losses": lists(self.losses),
        }

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`: the fit is repeated for what it left over, and must give the law on file.

        Raises:
            Refused: if it does not; then the file was changed by hand, or written by a version that fits differently.
        """
        family = LAWS[parameters["law"]]
        proportions, losses = numbers_of(parameters["proportions"], "proportions"), array_of(parameters["losses"])
        law = family.from_parameters(domains, targets, parameters["fitted"])
        fitted = family.fit(domains, targets, proportions, losses)
        apart = np.abs(law.predict(proportions) - fitted.law.predict(proportions)).max(axis=0)
        wrong = np.flatnonzero(~(apart <= REFIT_TOLERANCE * fitted.noise + 1e-6))
        if len(wrong):
            raise Refused(
                f"the parameters for target '{targets[wrong[0]]}' are not those its measured losses give: predictions "
                f"differ by {apart[wrong[0]]:.3g} nats; the file was changed, or written by a version that fits "
                "differently: run mixlaw fit again"
            )
        return cls(
            domains,
            targets,
            replace(fitted, law=law),
            float(parameters["params"]),
            float(parameters["tokens"]),
            proportions,
            losses,
        )


def common_scale(table: RunTable) -> tuple[float, float, RunTable]:
    """The largest params, then tokens, at which nearly all mixtures of the best covered scale were measured.

    Returns:
        params, tokens, and one row for each run measured there: the checkpoint nearest in tokens, at most 1% off.
    """
    measured, mixtures = np.isfinite(table.losses).any(axis=1), table.mixtures
    sizes, counts = table.params, table.tokens
    scales = []
    for params in distinct(sizes[measured]):
        size = same_scale(sizes, float(params)) & measured
        for tokens in distinct(counts[size]):
            rows = np.flatnonzero(size & same_scale(counts, float(tokens)))
            scales.append((float(params), float(tokens), rows, len(set(mixtures[rows]))))
    if not scales:
        raise Refused(f"{table.source}: no loss is measured in any row; fill in the loss.* columns")
    most = max(count for *_, count in scales)
    params, tokens, rows, _ = max((s for s in scales if s[3] >= NEARLY_ALL * most), key=lambda s: s[:2])
    nearest: dict[str, int] = {}
    runs = table.runs
    for row in rows[np.argsort(np.abs(np.log(counts[rows] / tokens)), kind="stable")]:
        nearest.setdefault(str(runs[row]), int(row))
    keep = np.zeros(len(table), dtype=bool)
    keep[list(nearest.values())] = True
    return params, tokens, table.where(keep)
