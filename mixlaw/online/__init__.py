"""Mixtures and weights that move while a model trains: one method a file, as state machines without torch.

A trainer measures signals (losses, inner products of gradients), a method answers with proportions. Methods keep all
they know in `state()`, plain JSON that belongs into the checkpoint, and are the same function of the signals wherever
they run.
"""

from typing import Annotated

from pydantic import Field

from mixlaw.online.doge import Doge
from mixlaw.online.doremi import Doremi
from mixlaw.online.grape import Grape
from mixlaw.online.odm import Odm

__all__ = ["METHODS", "Doge", "Doremi", "Grape", "Odm", "Online", "Settings"]

Settings = Doremi | Doge | Grape | Odm
"""The settings of any method."""

METHODS: dict[str, type[Settings]] = {"doremi": Doremi, "doge": Doge, "grape": Grape, "odm": Odm}
"""By the name that a plan gives in `[online] method`."""

Online = Annotated[Settings, Field(discriminator="method")]
"""A plan's `[online]`: the settings of the method it names."""
