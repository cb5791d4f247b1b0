"""Text to tokens: a byte-level BPE of our own, or a tokenizer that is given."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixlaw.errors import Refused
from mixlaw.files import read_json, write_text

if TYPE_CHECKING:
    import tokenizers

END_OF_DOCUMENT = "<|endoftext|>"
KNOWN_ENDS = (END_OF_DOCUMENT, "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "[SEP]")
SMALLEST_VOCABULARY = 256
BATCH_BYTES = 1 << 20


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer of the `tokenizers` library, and the token that ends a document.

    Attributes:
        encoder: the library's object.
        end_of_document: token id.
        source: "trained", or the path it was read from.
    """

    encoder: "tokenizers.Tokenizer"
    end_of_document: int
    source: str

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest token id."""
        return max(self.encoder.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def dtype(self) -> str:
        """The smaller of the two token types that holds every id."""
        return "uint16" if self.vocabulary_size <= 1 << 16 else "uint32"

    def encode(self, documents: Iterable[str]) -> Iterator[NDArray[Any]]:
        """Tokens of each document, its end-of-document token last; nothing else is added, nothing cut off."""
        for batch in _batches(documents):
            for encoding in self.encoder.encode_batch_fast(batch, add_special_tokens=False):
                yield np.array([*encoding.ids, self.end_of_document], dtype=self.dtype)

    def write(self, path: Path) -> None:
        """Write `tokenizer.json`, as the `tokenizers` and `transformers` libraries read it."""
        write_text(path, self.encoder.to_str(pretty=True) + "\n")


def train_tokenizer(documents: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Learn a byte-level BPE (Sennrich et al. 2016, 1508.07909; on bytes and with the word pattern of GPT-2, 2019).

    Any text can be encoded: the vocabulary begins with `<|endoftext|>` and 255 bytes, all but 0xFF, which UTF-8 never
    uses. At 256 nothing is merged and a token is a byte. The same documents in any order give the same merges.

    Args:
        documents: to learn from; held in memory only as counts of their words.
        vocabulary_size: at least 256; fewer where the documents hold no more pairs to merge.

    Raises:
        Refused: for a vocabulary below 256, or where the library is not installed.
    """
    if vocabulary_size < SMALLEST_VOCABULARY:
        raise Refused(
            f"a vocabulary of {vocabulary_size} cannot hold every byte; ask for {SMALLEST_VOCABULARY} (bytes) or more"
        )
    library = _library()
    encoder = library.Tokenizer(library.models.BPE())
    encoder.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=[letter for letter in library.pre_tokenizers.ByteLevel.alphabet() if letter != "ÿ"],
        show_progress=False,
    )
    encoder.train_from_iterator(documents, trainer)
    encoder.encode_special_tokens = True
    return Tokenizer(encoder, encoder.token_to_id(END_OF_DOCUMENT), "trained")


def load_tokenizer(path: Path | str, end_of_document: str | None = None) -> Tokenizer:
    """Read a `tokenizer.json`, or a Hugging Face folder that holds one.

    Args:
        path: file or folder.
        end_of_document: the token that ends a document; when None, `eos_token` of the folder's
            `tokenizer_config.json`, else the one of KNOWN_ENDS that is in the vocabulary.

    Raises:
        Refused: for a path that is no tokenizer, or a token to end documents that is not in it or not known.
    """
    path = Path(path)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise Refused(
            f"{file} does not exist; give a tokenizer.json, or a folder that has one "
            f"(transformers writes it: AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER))"
        )
    try:
        encoder = _library().Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise Refused(
            f"{file} is not a tokenizer of the `tokenizers` library: {error}; give a tokenizer.json"
        ) from None
    encoder.no_truncation()
    encoder.no_padding()
    encoder.encode_special_tokens = True
    token = (
        end_of_document
        or _configured_end(file.parent)
        or next((end for end in KNOWN_ENDS if encoder.token_to_id(end) is not None), None)
    )
    if token is None:
        raise Refused(f"{file} does not say which token ends a document; name it by --end-of-document")
    number = encoder.token_to_id(token)
    if number is None:
        raise Refused(f"{file} has no token '{token}' to end documents with; name one it has by --end-of-document")
    return Tokenizer(encoder, number, str(path))


def _configured_end(folder: Path) -> str | None:
    """`eos_token` of a Hugging Face folder: a string, or an object whose `content` is the string."""
    file = folder / "tokenizer_config.json"
    configured = read_json(file).get("eos_token") if file.is_file() else None
    return configured.get("content") if isinstance(configured, dict) else configured


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise Refused("tokenising needs the package tokenizers; install mixlaw[train]") from None
    return tokenizers
