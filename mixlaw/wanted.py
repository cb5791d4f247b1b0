"""What a value of a file needed to be, in our words, from what pydantic found wrong with it."""

from collections.abc import Callable, Mapping
from typing import Any

WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda limit: f"above {limit['gt']:g}",
    "greater_than_equal": lambda limit: f"at least {limit['ge']:g}",
    "less_than": lambda limit: f"below {limit['lt']:g}",
    "less_than_equal": lambda limit: f"at most {limit['le']:g}",
    "too_short": lambda limit: f"a list of at least {limit['min_length']}",
    "literal_error": lambda limit: f"{limit['expected']}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda _: "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: "true or false, without quotes"),
    **dict.fromkeys(("string_type", "path_type"), lambda _: "text in quotes"),
    **dict.fromkeys(("tuple_type", "list_type"), lambda _: "a list, [...]"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "dataclass_type"), lambda _: "a table of keys and values"
    ),
    "finite_number": lambda _: "a finite number",
}
"""By the type of error that pydantic names, given its context."""

LONGEST = 60
"""Characters of a value that a message shows."""


def wanted(detail: Mapping[str, Any]) -> str:
    """What the value of one of pydantic's errors needed to be: "a whole number", "above 0"."""
    words = WORDS.get(str(detail["type"]))
    return words(detail.get("ctx", {})) if words else str(detail["msg"]).removeprefix("Input should be ").lower()


def mistake(detail: Mapping[str, Any]) -> str:
    """One of pydantic's errors, by its place: 'gap' is 'x'; it must be a number."""
    place = ".".join(map(str, detail["loc"]))
    if detail["type"] == "missing":
        return f"'{place}' is missing"
    if detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"'{place}' means nothing here"
    return f"'{place}' is {found(detail['input'])}; it must be {wanted(detail)}"


def found(value: object) -> str:
    """A value as a message shows it, cut if it is long."""
    written = repr(value)
    return written if len(written) <= LONGEST else written[:LONGEST] + "..."
