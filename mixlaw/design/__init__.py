"""Which mixtures to run: one design a file."""

from mixlaw.design.sample import DESIGNS, sample
from mixlaw.design.spread import Spread, spread

__all__ = ["DESIGNS", "Spread", "sample", "spread"]
