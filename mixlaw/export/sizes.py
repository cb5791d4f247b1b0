"""How much of each domain there is, in tokens and in documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixlaw.errors import Refused
from mixlaw.files import read_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Size:
    """Available tokens of a domain and, if known, the documents they come in; both positive."""

    tokens: float
    documents: float | None = None


def read_sizes(path: Path | str) -> dict[str, Size]:
    """Read `{domain: tokens}` or `{domain: {"tokens": ..., "documents": ...}}`, or what a corpus holds for training.

    Args:
        path: a JSON file, or the folder of a corpus.

    Raises:
        Refused: naming the file and the domain.
    """
    path = Path(path)
    path = path / MANIFEST if path.is_dir() else path
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("domains"), dict):
        content = content["domains"]
    if not isinstance(content, dict) or not content:
        raise Refused(f'{path} holds no sizes of domains; write {{"domain": {{"tokens": ..., "documents": ...}}}}')
    return as_sizes(content, str(path))


def as_sizes(content: Mapping[str, Any], source: str = "available") -> dict[str, Size]:
    """Read sizes from a mapping in either form.

    Raises:
        Refused: for a domain without tokens, or with a count that is not a positive number.
    """
    sizes = {}
    for domain, entry in content.items():
        if isinstance(entry, Size):
            sizes[domain] = entry
            continue
        fields = entry if isinstance(entry, Mapping) else {"tokens": entry}
        fields = fields["train"] if isinstance(fields.get("train"), Mapping) else fields
        if "tokens" not in fields:
            raise Refused(f"{source}: '{domain}' has no 'tokens' (found: {', '.join(fields) or 'nothing'}); add them")
        documents = fields.get("documents")
        sizes[domain] = Size(
            _count(fields["tokens"], domain, "tokens", source),
            None if documents is None else _count(documents, domain, "documents", source),
        )
    return {domain: size for domain, size in sizes.items() if size.tokens > 0}


def _count(value: Any, domain: str, what: str, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
        raise Refused(f"{source}: the {what} of '{domain}' are {value!r}; they must be a number of at least 0")
    if what == "documents" and value == 0:
        raise Refused(f"{source}: the documents of '{domain}' are 0; leave them out if they are not known")
    return float(value)
