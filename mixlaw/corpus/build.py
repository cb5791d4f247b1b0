"""Text to a corpus: whole on disk, or not there at all."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mixlaw.corpus.readers import Skipped
from mixlaw.corpus.shards import FORMAT, MANIFEST, SPLITS, TOKENIZER, Corpus, open_corpus
from mixlaw.corpus.spool import NOTICE_BYTES, Notice, Texts, held_out, spool
from mixlaw.corpus.tokenizer import Tokenizer, train_tokenizer
from mixlaw.corpus.whole_folder import whole_folder
from mixlaw.errors import Refused
from mixlaw.files import read_json, sha256, write_json

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LEAST_VALIDATION_BYTES = 6 * (1 << 15)
"""Bytes held out of every domain that has them to spare: 2^15 tokens of up to 6 bytes."""

SAMPLE_BYTES = 1 << 20
"""Text of each domain that a trained tokenizer learns from: the same of all, so none gets all the merges."""


def build_corpus(
    out: Path | str,
    sources: Mapping[str, Iterable[str | Skipped]],
    tokenizer: Tokenizer | int = 4096,
    validation: float = 0.05,
    replace: bool = False,
    notice: Notice = lambda doing, done, total: None,
) -> Corpus:
    """Split, tokenise and write domains of text, and open the result.

    What is written depends on the set of documents of each domain alone (and, for text that two domains share, on
    which is named first): documents are ordered by their hashes, the first are held out, the rest trained on.

    Args:
        out: folder to make; it appears when it is complete.
        sources: by domain, its documents and what was skipped; each is read once, and need not fit in memory.
        tokenizer: one that is given, or the size of the vocabulary of one to train on the training documents.
        validation: share of each domain's bytes to hold out; small domains hold out more (`held_out`).
        replace: whether a corpus that is already there may be replaced; anything else never is.
        notice: told of progress.

    Raises:
        Refused: for a name that cannot be a file's and a column's, a share outside 0 to 0.5, an `out` that is taken,
            or a domain with fewer than two documents.
    """
    out = Path(out)
    for name in sources:
        _check_name(name, sources)
    if not sources:
        raise Refused("a corpus needs at least one domain; give NAME=PATH or --builtin")
    if not 0 < validation <= 0.5:
        raise Refused(f"a share of {validation} cannot be held out for validation; ask for more than 0 and at most 0.5")
    check_out(out, replace)
    with whole_folder(out) as folder:
        spooled = folder / "text"
        spooled.mkdir()
        texts = spool(sources, spooled, notice)
        cuts = {name: held_out(text.sizes, validation, LEAST_VALIDATION_BYTES) for name, text in texts.items()}
        if isinstance(tokenizer, int):
            notice("training the tokenizer", 0, None)
            sample = chain.from_iterable(_sample(texts[name], cuts[name]) for name in texts)
            tokenizer = train_tokenizer(sample, tokenizer)
        _write_corpus(folder, texts, cuts, tokenizer, notice)
        shutil.rmtree(spooled)
    return open_corpus(out)


def check_out(out: Path, replace: bool) -> None:
    """Refuse a folder that has something in it, unless that is a corpus, whole or damaged, and it may be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    content = read_json(out / MANIFEST) if (out / MANIFEST).is_file() else None
    if not (isinstance(content, dict) and str(content.get("format")).startswith(FORMAT.rstrip("0123456789"))):
        raise Refused(f"{out} exists and is not a corpus; name a folder that does not exist")
    if not replace:
        raise Refused(f"{out} is a corpus already; name another folder, or pass --force to replace it")


def _check_name(name: str, names: Iterable[str]) -> None:
    if not NAME.fullmatch(name):
        raise Refused(
            f"'{name}' cannot name a domain; use up to 64 letters, digits, '_', '-' and '.', a letter or digit first"
        )
    alike = [other for other in names if other.lower() == name.lower()]
    if len(alike) > 1:
        raise Refused(f"domains {' and '.join(alike)} differ only in case; give them names that differ")


def _sample(text: Texts, first: int) -> Iterator[str]:
    """Training documents up to SAMPLE_BYTES, at least one."""
    sizes = np.cumsum(text.sizes[first:])
    return text.read(first, first + max(1, int(np.searchsorted(sizes, SAMPLE_BYTES))))


def _write_corpus(
    folder: Path, texts: Mapping[str, Texts], cuts: Mapping[str, int], tokenizer: Tokenizer, notice: Notice
) -> None:
    tokenizer.write(folder / TOKENIZER)
    for split in SPLITS:
        (folder / split).mkdir()
    total = sum(int(text.sizes.sum()) for text in texts.values())
    done = 0
    domains: dict[str, Any] = {}
    for name, text in texts.items():
        domains[name] = {"duplicates": text.duplicates, "skipped": dict(text.skipped)}
        for split, first, last in (("validation", 0, cuts[name]), ("train", cuts[name], len(text.sizes))):
            progress = partial(_notice_from, notice, f"tokenising {name}", done, total)
            shard = _write_shard(folder, f"{split}/{name}.bin", text, (first, last), tokenizer, progress)
            domains[name][split] = shard
            done += shard["bytes"]
    content = {
        "format": FORMAT,
        "dtype": tokenizer.dtype,
        "tokenizer": {
            "end_of_document": tokenizer.end_of_document,
            "sha256": sha256(folder / TOKENIZER),
            "source": tokenizer.source,
            "vocabulary_size": tokenizer.vocabulary_size,
        },
        "domains": domains,
    }
    write_json(folder / MANIFEST, content)


def _notice_from(notice: Notice, doing: str, before: int, total: int, done: int) -> None:
    notice(doing, before + done, total)


def _write_shard(
    folder: Path,
    name: str,
    text: Texts,
    documents: tuple[int, int],
    tokenizer: Tokenizer,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Write a shard of the documents from the first number up to, not with, the second; return its manifest."""
    first, last = documents
    digest = hashlib.sha256()
    done = told = tokens = 0
    with (folder / name).open("wb") as file:
        encoded = tokenizer.encode(text.read(first, last))
        for document, size in zip(encoded, text.sizes[first:last].tolist(), strict=True):
            raw = document.astype(document.dtype.newbyteorder("<"), copy=False).tobytes()
            digest.update(raw)
            file.write(raw)
            tokens += len(document)
            done += size
            if done - told >= NOTICE_BYTES:
                told = done
                progress(done)
        file.flush()
        os.fsync(file.fileno())
    progress(done)
    return {"file": name, "documents": last - first, "bytes": done, "tokens": tokens, "sha256": digest.hexdigest()}
