"""Which mixtures to run: one design a file."""

from mixlaw.design.sample import DESIGNS, sample, sample_beside
from mixlaw.design.spread import Spread, spread

__all__ = ["DESIGNS", "Spread", "sample", "sample_beside", "spread"]
