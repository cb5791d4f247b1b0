"""A table of a plan."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the plan: frozen, typed, closed to unknown keys and to numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)
