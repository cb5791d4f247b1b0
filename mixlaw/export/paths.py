"""Where each domain's data lies: the file that `--paths` names."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused, one_of
from mixlaw.files import read_text

HELD_OUT = ("valid", "test")


@dataclass(frozen=True)
class Place:
    """Paths of a domain's training data, and one path for each held-out split that is named."""

    train: tuple[str, ...]
    held_out: Mapping[str, str] = field(default_factory=dict)


def read_paths(path: Path | str) -> dict[str, Place]:
    """Read a TOML file: `domain = "path"`, `["path", ...]`, or a table of `train` and optional `valid` and `test`.

    Paths are handed on as they stand: what they mean (a prefix, a folder, a pattern, a name on a hub) is the trainer's.

    Raises:
        Refused: naming the file and the domain.
    """
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise Refused(f'{path} is not TOML: {error}; write one line a domain: name = "path"') from None
    return as_places(content, str(path))


def as_places(content: Mapping[str, Any], source: str = "paths") -> dict[str, Place]:
    """Read places from a mapping in any of the forms of the file."""
    return {domain: _place(entry, domain, source) for domain, entry in content.items()}


def place_of(domain: str, places: Mapping[str, Place]) -> Place:
    """The place of a domain; refused, with the nearest name there is, if it has none."""
    if domain not in places:
        try:
            one_of(domain, tuple(places), "path")
        except Refused as error:
            raise Refused(f"the mixture takes from '{domain}', which has no path: {error}") from None
    return places[domain]


def _place(entry: Any, domain: str, source: str) -> Place:
    if isinstance(entry, Place):
        return entry
    if not isinstance(entry, Mapping):
        return Place(_texts(entry, domain, source))
    for split in entry:
        if split not in ("train", *HELD_OUT):
            raise Refused(
                f"{source}: '{domain}' has a part '{split}'; it may have train, valid and test. "
                f'If the domain is called \'{domain}.{split}\', quote its name: "{domain}.{split}" = "path"'
            )
    if "train" not in entry:
        raise Refused(f"{source}: '{domain}' has no train path; add one")
    held_out = {split: _texts(entry[split], domain, source) for split in HELD_OUT if split in entry}
    for split, paths in held_out.items():
        if len(paths) != 1:
            raise Refused(f"{source}: '{domain}' has {len(paths)} {split} paths; give one")
    return Place(_texts(entry["train"], domain, source), {split: paths[0] for split, paths in held_out.items()})


def _texts(entry: Any, domain: str, source: str) -> tuple[str, ...]:
    texts = entry if isinstance(entry, list | tuple) else [entry]
    if not texts or not all(isinstance(text, str | Path) and str(text).strip() for text in texts):
        raise Refused(f'{source}: the path of \'{domain}\' is {entry!r}; it must be "path" or ["path", ...]')
    return tuple(str(text) for text in texts)
