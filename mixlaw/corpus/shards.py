"""A tokenised corpus on disk: one memory-mapped shard per domain and split, and a manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixlaw.errors import Refused, one_of
from mixlaw.files import read_json, sha256

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
FORMAT = "mixlaw corpus 1"


@dataclass(frozen=True)
class Shard:
    """One domain's text of one split: document, end-of-document token, document, ...

    Attributes:
        file: relative to the corpus; raw little-endian tokens, nothing else (the layout nanoGPT and OLMo read).
        documents: how many.
        bytes: of UTF-8 text, before tokenising.
        tokens: how many, end-of-document tokens among them.
        sha256: of the file.
    """

    file: str
    documents: int
    bytes: int
    tokens: int
    sha256: str


@dataclass(frozen=True)
class Corpus:
    """Tokenised domains, read in place; made by `mixlaw corpus`, opened by `open_corpus`.

    Attributes:
        path: the folder.
        domains: names, sorted.
        vocabulary_size: tokens are below it.
        end_of_document: the token after every document.
        dtype: of the shards, "uint16" or "uint32".
        tokenizer_sha256: of `tokenizer.json` in the folder.
        shards: by split, then domain.
        duplicates: by domain, documents left out because the same text had come before, there or in another domain.
        skipped: by domain, how much of what was found could not be read, by reason.
    """

    path: Path
    domains: tuple[str, ...]
    vocabulary_size: int
    end_of_document: int
    dtype: str
    tokenizer_sha256: str
    shards: Mapping[str, Mapping[str, Shard]]
    duplicates: Mapping[str, int]
    skipped: Mapping[str, Mapping[str, int]]

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer, as the `tokenizers` library reads it."""
        return self.path / TOKENIZER

    @property
    def train_tokens(self) -> dict[str, int]:
        """Unique training tokens of each domain."""
        return {domain: self.shards["train"][domain].tokens for domain in self.domains}

    @property
    def validation_tokens(self) -> dict[str, int]:
        """Held-out tokens of each domain."""
        return {domain: self.shards["validation"][domain].tokens for domain in self.domains}

    @property
    def bytes_per_token(self) -> dict[str, float]:
        """UTF-8 bytes per token of each domain's validation text, so that vocabularies can be compared.

        bits per byte = nats per token / (ln 2 x bytes per token). End-of-document tokens are counted, as they are in
        the loss.
        """
        held_out = self.shards["validation"]
        return {domain: held_out[domain].bytes / held_out[domain].tokens for domain in self.domains}

    def tokens(self, domain: str, split: Split) -> NDArray[Any]:
        """All tokens of a domain, mapped from disk and read-only; shape (tokens,)."""
        file = self.path / self.shards[split][one_of(domain, self.domains, "domain")].file
        if not file.is_file():
            raise Refused(f"{file} does not exist, though its manifest names it; build the corpus again")
        return np.memmap(file, dtype=np.dtype(self.dtype).newbyteorder("<"), mode="r")

    def sequences(self, domain: str, split: Split, length: int) -> NDArray[Any]:
        """Windows of `length` tokens to read and, shifted by one, to predict: a view, nothing is copied.

        Window i holds tokens i x length to (i + 1) x length, both ends included, so that over all windows every token
        but the first is predicted exactly once.

        Returns:
            (count, length + 1), read-only, with count = (tokens - 1) // length.

        Raises:
            Refused: if the domain holds not even one.
        """
        tokens = self.tokens(domain, split)
        if len(tokens) <= length:
            raise Refused(
                f"{self.path}: the {split} text of '{domain}' is {len(tokens)} tokens, fewer than one sequence of "
                f"{length} + 1; add text to the domain or shorten the sequences"
            )
        return np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::length]

    def sequence_counts(
        self, length: int, available_tokens: Mapping[str, int] | None = None, domains: Sequence[str] = ()
    ) -> NDArray[np.int64]:
        """How many training sequences each domain may draw from: the epoch lengths of an `Order`.

        The first `available_tokens` of a domain are a random part of it, since documents lie in the order of their
        hashes.

        Args:
            length: of a sequence.
            available_tokens: by domain, where fewer than the corpus holds may be used.
            domains: in this order; all when empty.

        Returns:
            (M,).

        Raises:
            Refused: for an unknown domain, more tokens than the corpus holds, or less than one sequence.
        """
        limits = available_tokens or {}
        for domain in limits:
            one_of(domain, self.domains, "domain")
        counts = []
        for domain in domains or self.domains:
            count = len(self.sequences(domain, "train", length))
            held, limit = self.train_tokens[domain], limits.get(domain)
            if limit is not None and limit > held:
                raise Refused(
                    f"{self.path}: {limit} tokens of '{domain}' are said to be available, and the corpus holds {held}; "
                    f"lower available_tokens or add text"
                )
            if limit is not None and limit < length:
                raise Refused(
                    f"{limit} available tokens of '{domain}' are less than one sequence of {length}; raise "
                    f"available_tokens or shorten the sequences"
                )
            counts.append(count if limit is None else min(count, limit // length))
        return np.array(counts, dtype=np.int64)

    def verify(self) -> None:
        """Read every shard and compare its hash with the manifest's; a gigabyte takes about a second.

        Raises:
            Refused: naming the first file that differs.
        """
        for split in SPLITS:
            for shard in self.shards[split].values():
                if sha256(self.path / shard.file) != shard.sha256:
                    raise Refused(
                        f"{self.path / shard.file} is not what the manifest describes; build the corpus again"
                    )


def open_corpus(path: Path | str) -> Corpus:
    """Open a corpus, checking what is cheap to check: the manifest, the size of every shard, the tokenizer's hash.

    `Corpus.verify` checks the hash of every shard too.

    Raises:
        Refused: naming the folder or file and what is wrong with it.
    """
    path = Path(path)
    if not path.is_dir():
        raise Refused(f"{path} is not a folder; make a corpus with `mixlaw corpus {path} NAME=PATH...`")
    if not (path / MANIFEST).is_file():
        raise Refused(
            f"{path} has no {MANIFEST}, so it is not a corpus; make one with `mixlaw corpus OUT NAME=PATH...`"
        )
    corpus = read_manifest(path / MANIFEST)
    if not corpus.tokenizer_path.is_file() or sha256(corpus.tokenizer_path) != corpus.tokenizer_sha256:
        raise Refused(f"{corpus.tokenizer_path} is not what the manifest describes; build the corpus again")
    for split in SPLITS:
        for shard in corpus.shards[split].values():
            _check_size(path / shard.file, shard.tokens * np.dtype(corpus.dtype).itemsize)
    return corpus


def read_manifest(manifest: Path | str) -> Corpus:
    """What a corpus holds, by its manifest alone: enough to count tokens, though the shards may be elsewhere or gone.

    Raises:
        Refused: for a file that is not a manifest, or of another version.
    """
    manifest = Path(manifest)
    content = read_json(manifest)
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise Refused(f"{manifest} has format {found!r}, not {FORMAT!r}; build the corpus again")
    try:
        tokenizer, domains = content["tokenizer"], content["domains"]
        return Corpus(
            path=manifest.parent,
            domains=tuple(sorted(domains)),
            vocabulary_size=int(tokenizer["vocabulary_size"]),
            end_of_document=int(tokenizer["end_of_document"]),
            dtype=one_of(content["dtype"], ("uint16", "uint32"), "token type"),
            tokenizer_sha256=str(tokenizer["sha256"]),
            shards={split: {name: Shard(**domains[name][split]) for name in sorted(domains)} for split in SPLITS},
            duplicates={name: int(domains[name]["duplicates"]) for name in sorted(domains)},
            skipped={name: dict(domains[name]["skipped"]) for name in sorted(domains)},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{manifest} is incomplete ({error}); build the corpus again") from None


def _check_size(file: Path, expected: int) -> None:
    size = file.stat().st_size if file.is_file() else 0
    if size != expected:
        raise Refused(f"{file} is {size} bytes, and its manifest says {expected}; build the corpus again")
