"""Loss over the mixture at one scale: one law a file."""

from mixlaw.laws.base import MixingLaw
from mixlaw.laws.exponential import Exponential
from mixlaw.laws.reciprocal import Reciprocal

LAWS: dict[str, type[MixingLaw]] = {law.kind: law for law in (Exponential, Reciprocal)}
"""Every mixing law by its kind."""
