"""Loss over mixture, model size and tokens: one surface a file."""

from mixlaw.surfaces.additive import Additive
from mixlaw.surfaces.base import Surface
from mixlaw.surfaces.chinchilla import Chinchilla
from mixlaw.surfaces.exponential_surface import ExponentialSurface
from mixlaw.surfaces.joint import Joint
from mixlaw.surfaces.nested import Nested
from mixlaw.surfaces.pooled import Pooled
from mixlaw.surfaces.single import Single
from mixlaw.surfaces.transfer import Transfer

SURFACES: dict[str, type[Surface]] = {
    surface.scale: surface
    for surface in (Single, Nested, Pooled, Transfer, Chinchilla, Additive, Joint, ExponentialSurface)
}
"""Every surface by the name that `--scale` takes."""
