"""People's text, document by document: files and folders of text, JSON lines, packed or not, and parquet."""

import codecs
import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from mixlaw.errors import Refused

PIECE_CHARACTERS = 16_384
"""A text file of a folder is a document up to this length; a longer one is running text, cut into pieces this long."""

SMALLEST_PIECE_CHARACTERS, PIECES = 1024, 32
"""A text file that is a whole domain is cut into about so many pieces, none much shorter than the least."""

BLOCK_BYTES, PACKED_BYTES = 1 << 20, 1 << 15
TEXT = (".txt", ".md")
LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst")
"""The last two as C4 and Dolma name theirs; a bare `.json` is more often one object over many lines."""

KINDS = (*TEXT, *LINES, ".parquet")


@dataclass(frozen=True)
class Skipped:
    """A file or row that gave no document, and why: "files not UTF-8", of which there may be several."""

    reason: str


OTHER_KIND = "files of another kind"
NOT_JSON, NOT_UTF8 = Skipped("rows not JSON objects"), Skipped("rows not UTF-8")
NO_ROW = (NOT_JSON, NOT_UTF8)


def read_documents(path: Path | str, text_field: str = "text") -> Iterator[str | Skipped]:
    """Read the documents of a file, or of a folder and all below it in the order of their names.

    A row of JSON lines or `.parquet` is a document. In a folder, a `.txt` or `.md` file is one too, unless it is longer
    than PIECE_CHARACTERS. A longer one, and one that is named by itself, is running text: it is cut at paragraph or
    line ends, so that a part of a book can be held out and none of it needs to fit in memory. What cannot be read (not
    UTF-8, binary, damaged, a row without text) is passed over and yielded as `Skipped`.
    At most one row, one block of 1 MiB, or 256 rows of a parquet file are held at a time.

    Args:
        path: file or folder; hidden files, hidden folders and links to folders are left out.
        text_field: the field or column that holds the text.

    Raises:
        Refused: for a path that is absent or of no known kind, a first row or a table without `text_field`, or a kind
            whose library is not installed.
    """
    path = Path(path)
    longest = PIECE_CHARACTERS
    if path.is_dir():
        files: Iterable[Path] = _files(path)
    elif not path.exists():
        raise Refused(f"{path} does not exist; check the path")
    elif not _kind(path):
        raise Refused(f"{path} is of no kind that is read; convert it to one of {' '.join(KINDS)}")
    else:
        files = (path,)
        longest = min(PIECE_CHARACTERS, max(SMALLEST_PIECE_CHARACTERS, path.stat().st_size // PIECES))
    for file in files:
        yield from _read_file(file, text_field, longest)


def cut(blocks: Iterable[str], longest: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Cut running text into pieces of at most `longest` characters, and at least half as many but for the last.

    Each ends where the last paragraph or else line of its second half does, or at the last character if none does.
    """
    rest = ""
    for block in blocks:
        rest += block
        start = 0
        while len(rest) - start > longest:
            half, limit = start + longest // 2, start + longest
            paragraph, line = rest.rfind("\n\n", half, limit), rest.rfind("\n", half, limit)
            end = paragraph + 2 if paragraph >= 0 else line + 1 if line >= 0 else limit
            yield rest[start:end]
            start = end
        rest = rest[start:]
    if rest:
        yield rest


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(place, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _refuse_folder(error: OSError) -> None:
    raise Refused(f"{error.filename} cannot be read: {error.strerror}; make it readable or name another folder")


def _kind(path: Path) -> str:
    return next((kind for kind in KINDS if path.name.lower().endswith(kind)), "")


def _read_file(path: Path, text_field: str, longest: int) -> Iterator[str | Skipped]:
    kind = _kind(path)
    if not kind:
        yield Skipped(f"{OTHER_KIND} ({path.suffix or 'no suffix'})")
        return
    try:
        if kind in TEXT:
            yield from _read_text(path, longest)
        elif kind in LINES:
            yield from _read_lines(path, kind, text_field)
        else:
            yield from _read_parquet(path, text_field)
    except OSError:
        yield Skipped("files unreadable")


def _read_text(path: Path, longest: int) -> Iterator[str | Skipped]:
    fault = _fault(path)
    if fault:
        yield Skipped(fault)
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        pieces = cut(iter(lambda: file.read(BLOCK_BYTES), ""), longest)
        yield from (piece if piece.strip() else Skipped("documents empty") for piece in pieces)


def _fault(path: Path) -> str:
    """Why a file is no text, or "": the whole of it is looked at before any of it is used."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            size += len(block)
            if b"\0" in block:
                return "files binary"
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return "files not UTF-8"
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "files not UTF-8"
    return "" if size else "files empty"


def _read_lines(path: Path, kind: str, text_field: str) -> Iterator[str | Skipped]:
    first = True
    with _decompressed(path, kind) as (lines, damage):
        try:
            for line in lines:
                if not line.strip():
                    continue
                item = _row_text(line, text_field, path if first else None)
                first = first and item in NO_ROW
                yield item
        except damage:
            yield Skipped("files damaged")


@contextmanager
def _decompressed(path: Path, kind: str) -> Iterator[tuple[Iterable[bytes], tuple[type[Exception], ...]]]:
    """Open a file of lines, with the errors that its decompressor raises where the file is damaged."""
    if kind.endswith(".gz"):
        with gzip.open(path, "rb") as file:
            yield file, (gzip.BadGzipFile, EOFError, zlib.error)
    elif kind.endswith(".zst"):
        try:
            import zstandard
        except ImportError:
            raise Refused(f"{path} needs the package zstandard; install mixlaw[train]") from None
        with path.open("rb") as packed:
            yield _lines_of(_unpacked(packed, zstandard)), (zstandard.ZstdError,)
    else:
        with path.open("rb") as file:
            yield file, ()


def _unpacked(packed: BinaryIO, zstandard: ModuleType) -> Iterator[bytes]:
    """Decompress frame after frame; unlike the library's own reader, do not take a file cut short for one that ends."""
    decoder = zstandard.ZstdDecompressor().decompressobj()
    inside = False
    while block := packed.read(PACKED_BYTES):
        while block:
            yield decoder.decompress(block)
            inside, block = not decoder.eof, decoder.unused_data
            if not inside:
                decoder = zstandard.ZstdDecompressor().decompressobj()
    if inside:
        raise zstandard.ZstdError("the file ends inside a frame")


def _lines_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
    yield rest


def _row_text(line: bytes, text_field: str, first_of: Path | None) -> str | Skipped:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return NOT_UTF8
    except (ValueError, RecursionError):
        return NOT_JSON
    if not isinstance(row, dict):
        return NOT_JSON
    if text_field not in row and first_of is not None:
        raise Refused(_no_field(first_of, "field", text_field, list(row)))
    return _text(row.get(text_field), text_field)


def _text(value: Any, text_field: str) -> str | Skipped:
    if not isinstance(value, str):
        return Skipped(f"rows without text in '{text_field}'")
    if not value.strip():
        return Skipped("documents empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return NOT_UTF8
    return value


def _read_parquet(path: Path, text_field: str) -> Iterator[str | Skipped]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise Refused(f"{path} needs the package pyarrow; install mixlaw[train]") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            if text_field not in names:
                raise Refused(_no_field(path, "column", text_field, names))
            for batch in table.iter_batches(batch_size=256, columns=[text_field]):
                yield from (_text(value, text_field) for value in batch.column(0).to_pylist())
    except (pyarrow.ArrowException, UnicodeDecodeError):
        yield Skipped("files damaged")


def _no_field(path: Path, what: str, text_field: str, found: list[str]) -> str:
    listed = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
    return (
        f"{path} has no {what} '{text_field}'; it has: {listed or 'none'}; name the one with the text by --text-field "
        "FIELD, or by --text-field DOMAIN=FIELD if other domains call theirs otherwise"
    )
