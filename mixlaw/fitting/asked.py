"""What was asked of a fit: with the run table, all that it takes to fit the same law again."""

from collections.abc import Iterable
from dataclasses import dataclass

AUTO = "auto"


@dataclass(frozen=True)
class Asked:
    """How a law was asked for; the domains that it holds fixed are its own.

    Attributes:
        law, scale: the names given; "auto" where cross-validation and backtests were to choose.
        targets: the losses named; None for all of the run table.
        renormalise: whether proportions were divided by their sum, whatever it is.
    """

    law: str = AUTO
    scale: str = AUTO
    targets: tuple[str, ...] | None = None
    renormalise: bool = False

    def flags(self, fixed: Iterable[str]) -> list[str]:
        """The flags of `mixlaw fit` that ask for the same, those left at their default left out."""
        found = ["--law", self.law] if self.law != AUTO else []
        found += ["--scale", self.scale] if self.scale != AUTO else []
        found += [word for target in self.targets or () for word in ("--target", target)]
        found += [word for domain in fixed for word in ("--fixed", domain)]
        return found + (["--renormalise"] if self.renormalise else [])
