"""Documents on disk while a corpus is built: hashed, without duplicates, in the order of their hashes."""

import hashlib
import mmap
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixlaw.corpus.readers import KINDS, OTHER_KIND, Skipped
from mixlaw.errors import Refused

Notice = Callable[[str, int, int | None], None]
"""Told of progress: what is being done, how much of it is done, and how much there is if known."""

Integers = NDArray[np.int64]
NOTICE_BYTES = 1 << 20


@dataclass(frozen=True)
class Texts:
    """The documents of one domain, each once, in the order of their hashes.

    That order depends on the documents alone, not on files, their names or how many there are; and it is random with
    regard to content, so any stretch of it is a fair sample of the domain.

    Attributes:
        file: UTF-8 text, document after document as they came.
        starts: (documents,), where each begins in the file.
        sizes: (documents,), its bytes.
        duplicates: documents left out because the same text had come before, in this or another domain.
        skipped: what could not be read, by reason.
    """

    file: Path
    starts: Integers
    sizes: Integers
    duplicates: int
    skipped: Mapping[str, int]

    def read(self, first: int, last: int) -> Iterator[str]:
        """Documents number `first` to `last` - 1."""
        if first == last:
            return
        with self.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            for start, size in zip(self.starts[first:last].tolist(), self.sizes[first:last].tolist(), strict=True):
                yield text[start : start + size].decode()


def spool(sources: Mapping[str, Iterable[str | Skipped]], folder: Path, notice: Notice) -> dict[str, Texts]:
    """Write every domain's documents to disk and drop exact duplicates, keeping the first that came.

    Memory grows by about 100 bytes a document, whatever its length; two documents are the same where 128 bits of their
    SHA-256 agree.

    Raises:
        Refused: for a domain without a document, or without two of its own.
    """
    taken = [_write(name, documents, folder / f"{name}.txt", notice) for name, documents in sources.items()]
    domains = np.repeat(np.arange(len(taken)), [len(part.sizes) for part in taken])
    hashes = np.concatenate([np.frombuffer(part.hashes, dtype="<u8").reshape(-1, 2) for part in taken])
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: of equal texts, the first that came stays first
    same = np.zeros(len(order), dtype=bool)
    same[1:] = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)
    texts = {}
    for number, (name, part) in enumerate(zip(sources, taken, strict=True)):
        mine = domains[order] == number
        kept = order[mine & ~same] - np.searchsorted(domains, number)
        duplicates = int((mine & same).sum())
        _check(name, len(kept), duplicates, part.skipped)
        sizes = np.frombuffer(part.sizes, dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        texts[name] = Texts(part.file, starts[kept], sizes[kept], duplicates, dict(part.skipped))
    return texts


def held_out(sizes: Integers, share: float, least_bytes: int, most_share: float = 0.2) -> int:
    """How many documents, first in the order of their hashes, are for validation.

    They are the fewest that make up `share` of the bytes, or `least_bytes` where that is more, so that losses can be
    measured on a small domain too; but `least_bytes` takes no more than `most_share` of it. At least one document is
    held out and at least one is left to train on.
    """
    total = int(sizes.sum())
    wanted = max(share * total, min(least_bytes, most_share * total))
    return int(np.clip(np.searchsorted(np.cumsum(sizes), wanted) + 1, 1, len(sizes) - 1))


@dataclass(frozen=True)
class _Written:
    file: Path
    sizes: "array[int]"
    hashes: bytearray
    skipped: Counter[str]


def _write(name: str, documents: Iterable[str | Skipped], path: Path, notice: Notice) -> _Written:
    written = _Written(path, array("q"), bytearray(), Counter())
    size = told = 0
    with path.open("wb") as file:
        for document in documents:
            if isinstance(document, Skipped):
                written.skipped[document.reason] += 1
                continue
            text = document.encode()
            file.write(text)
            written.sizes.append(len(text))
            written.hashes.extend(hashlib.sha256(text).digest()[:16])
            size += len(text)
            if size - told >= NOTICE_BYTES:
                told = size
                notice(f"reading {name}", size, None)
    notice(f"reading {name}", size, size)
    return written


def _check(name: str, kept: int, duplicates: int, skipped: Mapping[str, int]) -> None:
    if kept > 1:
        return
    lost = {**skipped, **({"duplicates": duplicates} if duplicates else {})}
    other = any(reason.startswith(OTHER_KIND) for reason in skipped)
    convert = f'; read are {" ".join(KINDS)}: convert the others, code into .jsonl rows of {{"text": ...}}' * other
    raise Refused(
        f"'{name}' has {'one document' if kept else 'no document'} ({reasons(lost)}); a domain needs at least two, one "
        f"to train on and one held out; add text{convert}"
    )


def reasons(skipped: Mapping[str, int]) -> str:
    """What was passed over and how often, in one line."""
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(skipped.items()))
    return f"skipped {listed}" if listed else "nothing was skipped"
