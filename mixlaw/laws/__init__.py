"""Loss over the mixture at one scale: one law a file."""

from mixlaw.laws.base import MixingLaw
from mixlaw.laws.exponential import Exponential

LAWS: dict[str, type[MixingLaw]] = {law.kind: law for law in (Exponential,)}
"""Every mixing law by its kind."""
