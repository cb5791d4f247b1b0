"""What the columns of a file were meant to be called."""

import difflib
import re
from collections.abc import Mapping, Sequence

KINDS = {"mix": "mix.", "mixture": "mix.", "proportion": "mix.", "loss": "loss."}
"""What columns of one kind are called by, and the prefix they need."""

NEAR = 0.6
"""Likeness, of `difflib`, from which one name is taken for another."""


def meant(columns: Sequence[str], lacking: Sequence[str]) -> dict[str, str]:
    """Columns that look like ones that are lacking, with the names they need.

    Args:
        columns: as the file has them.
        lacking: single columns ("tokens") and prefixes of several ("mix.", "loss.").

    Returns:
        column -> what it needs to be called, in the order of `columns`; empty where nothing looks like it.
    """
    found: dict[str, str] = {}
    for column in columns:
        parts = re.fullmatch(r"([A-Za-z]+)[\s._/:|-]+(.+)", column.strip())
        prefix = KINDS.get(parts[1].lower()) if parts else None
        if parts and prefix is not None and prefix in lacking and not column.startswith(prefix):
            found[column] = prefix + parts[2]
    for name in lacking:
        near = difflib.get_close_matches(
            name, [column.strip().lower() for column in columns if column not in found], n=1, cutoff=NEAR
        )
        if near and not name.endswith("."):
            found[next(column for column in columns if column.strip().lower() == near[0])] = name
    return {column: found[column] for column in columns if column in found}


def to_rename(found: Mapping[str, str], shown: int = 4) -> str:
    """What to rename, in words: 'Tokens' to 'tokens', 'mix_web' to 'mix.web' and 2 more."""
    listed = [f"'{column}' to '{name}'" for column, name in list(found.items())[:shown]]
    return ", ".join(listed) + (f" and {len(found) - shown} more alike" if len(found) > shown else "")


def misspelt(columns: Sequence[str]) -> dict[str, str]:
    """Columns whose prefix differs from `mix.` or `loss.` in case or spaces alone, with the names they need."""
    found = {}
    for column in columns:
        parts = re.fullmatch(r"\s*(mix|loss)\s*\.\s*(.*\S)\s*", column, re.IGNORECASE)
        if parts and (name := f"{parts[1].lower()}.{parts[2]}") != column:
            found[column] = name
    return found
