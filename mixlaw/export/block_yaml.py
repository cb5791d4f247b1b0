"""YAML written without a library.

The trainers' sections are small trees of mappings, lists, text and numbers that people paste into a larger file, so
they are written in YAML's block style with a comment that states the unit. JSON would be YAML too, but takes no
comment, and its `1e-05` is text to a YAML 1.1 reader. All text is quoted and all numbers are plain decimals, so nothing
is left to a reader's idea of what `no` or `012` may mean; the tests read everything back with PyYAML.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mixlaw.export.base import decimal_text

Node = Any
"""A mapping with text keys, a sequence, text, a number or a truth value; nested as deep as one likes."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SPOKEN = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def to_yaml(content: Mapping[str, Node], comment: str = "") -> str:
    """The document, with `comment` in front, one `#` a line."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join(lines + _block(content, 0)) + "\n"


def _block(node: Mapping[str, Node] | Sequence[Node], depth: int) -> list[str]:
    lines = []
    indent = "  " * depth
    if isinstance(node, Mapping):
        for key, value in node.items():
            lines += _entry(f"{indent}{_key(key)}:", value, depth + 1)
        return lines
    for value in node:
        if isinstance(value, Mapping) and value:
            first, *rest = _block(value, depth + 1)
            lines += [f"{indent}- {first.lstrip()}", *rest]
        else:
            lines += _entry(f"{indent}-", value, depth + 1)
    return lines


def _entry(head: str, value: Node, depth: int) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Mapping | Sequence):
        return [f"{head} {_scalar(value)}"]
    if not value:
        return [f"{head} {{}}" if isinstance(value, Mapping) else f"{head} []"]
    return [head, *_block(value, depth)]


def _key(key: str) -> str:
    return key if _PLAIN.fullmatch(key) and key.lower() not in _SPOKEN else quoted(key)


def _scalar(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    return str(value) if isinstance(value, int) else decimal_text(value)


def quoted(text: str) -> str:
    """Text between double quotes with what is not printable escaped; it reads the same in YAML and in Python."""
    return '"' + "".join(_character(character) for character in text) + '"'


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
