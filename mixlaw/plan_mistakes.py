"""What is wrong with a plan, said with the keys that people wrote."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mixlaw.errors import nearest
from mixlaw.online import METHODS
from mixlaw.wanted import found, wanted

SHOWN = 3
"""Mistakes that one message names."""

MUST_BE = "; it must be "


def mistakes(error: ValidationError, content: Mapping[str, Any], plan: type[BaseModel]) -> str:
    """What is wrong, key by key, and what was needed: the first few.

    Args:
        error: of pydantic.
        content: the tables that it was given.
        plan: the model that they are not one of.
    """
    return "; ".join(_explained(error, content, plan)[:SHOWN])


def _explained(error: ValidationError, content: Mapping[str, Any], plan: type[BaseModel]) -> list[str]:
    """Every mistake; of a key that may hold one of several types, what any of them would be."""
    said: dict[str, list[str]] = {}
    for detail in error.errors():
        above = detail["loc"][:-1]  # what pydantic puts after the place is which of its types was tried
        is_tried = bool(above) and detail["type"] != "missing" and _at(content, above) == detail["input"]
        place = above if is_tried else detail["loc"]
        beginning, _, end = _explain({**detail, "loc": place}, content, plan).partition(MUST_BE)
        said.setdefault(beginning, []).append(end)
    return [beginning + (MUST_BE + " or ".join(ends) if any(ends) else "") for beginning, ends in said.items()]


def _at(content: Any, place: tuple[Any, ...]) -> Any:
    """The value at a place of the plan; None where there is none."""
    for part in place:
        inside = part in content if isinstance(content, dict) else isinstance(content, list) and isinstance(part, int)
        content = content[part] if inside else None
    return content


def _explain(detail: Mapping[str, Any], content: Mapping[str, Any], plan: type[BaseModel]) -> str:
    location = tuple(part for part in detail["loc"] if detail["loc"][0] != "online" or part not in METHODS)
    place = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        known = _keys(detail["loc"][:-1], plan)
        near = nearest(str(detail["loc"][-1]), known)
        return f"no key is called '{place}'; " + (
            f"did you mean '{near}'?" if near is not None else f"known here: {', '.join(known)}"
        )
    if detail["type"] == "union_tag_not_found":
        return f"'{place}.method' is missing; add it: {', '.join(METHODS)}"
    if detail["type"] == "union_tag_invalid":
        near = nearest(str(detail["ctx"]["tag"]), [*METHODS])
        hint = "" if near is None else f"did you mean '{near}'? "
        return f"'{place}.method' is '{detail['ctx']['tag']}'; {hint}there are: {', '.join(METHODS)}"
    if detail["type"] == "missing":
        return f"'{place}' is missing; add it"
    if detail["type"] == "value_error":
        said = str(detail["msg"]).removeprefix("Value error, ")
        return f"[{place}] {said}" if place else said
    return f"'{place}' is {found(detail['input'])}{MUST_BE}{wanted(detail)}"


def _keys(place: tuple[Any, ...], plan: type[BaseModel]) -> list[str]:
    """Keys of the table at a place, as pydantic names it: with the numbers of lists and the methods of unions."""
    models: list[type[BaseModel]] = [plan]
    for part in place:
        if part in METHODS and len(models) > 1:
            models = [METHODS[part]]
        elif not isinstance(part, int):
            models = _models(models[0].model_fields[part].annotation)
    return [name for name in models[0].model_fields if name != "folder"]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every table that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
