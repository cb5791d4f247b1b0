"""Settings and points as dotted names, however deep a log nests them."""

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

PAIR = re.compile(r"\s*(?P<name>[^\s=]+?)\s*[:=]\s*(?P<value>[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*")
"""A name and its number; the name may have a colon, as `dclm:science` has."""

MEDIA = "_type"
"""What marks a logged histogram, table or picture, which holds no setting."""


def flatten(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings and lists as dotted names: `{"mix": {"code": 0.5}}` is `{"mix.code": 0.5}`.

    The members of a list go by their place (`weights.0`); text that is a mapping or a list, in JSON, as Python writes
    it or as people do (`web:0.5,code:0.5`), is one. Anything else that is neither text nor a number is dropped.
    """
    flat: dict[str, Any] = {}
    media = tuple(name.removesuffix(MEDIA) for name in settings if name.endswith(f".{MEDIA}"))
    for name, value in settings.items():
        if media and name.startswith(media):
            continue  # written member by member: `h._type`, `h.bins`
        held = _held(value)
        if held is not None:
            flat |= flatten(held, f"{above}{name}.")
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            flat[f"{above}{name}"] = value
    return flat


def as_settings(texts: Mapping[str, str]) -> dict[str, Any]:
    """Settings by dotted name from parameters that are text: `{"mix": "{'code': 0.5}"}` is `{"mix.code": 0.5}`.

    Text that is a number is read as such; all other text stays text.
    """
    return {name: _number(value) if isinstance(value, str) else value for name, value in flatten(texts).items()}


def _held(value: Any) -> dict[str, Any] | None:
    """The members of a mapping or a list by name or place; none for anything else."""
    if isinstance(value, str):
        value = _container(value)
    if isinstance(value, Mapping):
        return {} if MEDIA in value else {str(name): member for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return {str(place): member for place, member in enumerate(value)}
    return None


def _container(text: str) -> Any:
    """The mapping or list that a text says, in JSON, as Python's `str` writes it or as people do; none for others."""
    if not text.strip().startswith(("{", "[", "(")):
        return _pairs(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in text is no concern of ours
            tree = _Constants().visit(ast.parse(text.strip(), mode="eval"))
            value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, dict | list | tuple) else None


def _pairs(text: str) -> dict[str, float] | None:
    """The numbers by name of `web:0.5,code:0.5` or `web=50; code=50`, two or more; none for text that is not all so."""
    pairs = [PAIR.fullmatch(part) for part in re.split(r"[,;]", text)]
    found = {pair["name"]: float(pair["value"]) for pair in pairs if pair is not None}
    return found if len(found) == len(pairs) > 1 else None


class _Constants(ast.NodeTransformer):
    """`nan` and `inf`, as Python prints them within a mapping, are no literals to it."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(float(node.id)), node) if node.id in ("nan", "inf") else node


def _number(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text
