"""Tables in files as others write them: csv, tsv, jsonl and parquet, compressed or not."""

import gzip
import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from mixlaw.csv_files import read_csv
from mixlaw.errors import Refused
from mixlaw.files import read_text

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
COMPRESSED = ".gz"

IDENTIFIERS = ("run", "run_id", "name", "index")
"""Columns that are text even where they look like numbers: `007` is no 7."""


def kind_of(path: Path) -> str:
    """The suffix that says what kind of table a file is, in small letters, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() == COMPRESSED else path).suffix.lower()


def read_frame(path: Path, text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a table as it stands; blank cells stay blank, and identifiers and the columns `text` are text.

    Raises:
        Refused: naming the file and what is wrong with it.
    """
    if kind_of(path) not in SUFFIXES:
        raise Refused(f"{path} is no table: a table is {', '.join(SUFFIXES)}, or one of these with {COMPRESSED}")
    if not path.is_file():
        raise Refused(f"{path} does not exist; check the path")
    if path.suffix.lower() != COMPRESSED:
        return _read(path, text)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        try:
            plain.write_bytes(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, zlib.error) as error:
            raise Refused(f"{path} cannot be decompressed: {error}; was it cut short?") from None
        try:
            return _read(plain, text)
        except Refused as error:
            raise Refused(str(error).replace(str(plain), str(path))) from None


def _read(path: Path, text: tuple[str, ...]) -> pd.DataFrame:
    kind = kind_of(path)
    if kind == ".jsonl":
        return pd.DataFrame([_row(path, number, line) for number, line in _lines(path)])
    if kind == ".parquet":
        return _read_parquet(path)
    try:
        return read_csv(path, (*IDENTIFIERS, *text), "\t" if kind == ".tsv" else ",")
    except Refused:
        raise
    except (ValueError, OSError) as error:
        raise Refused(f"{path} cannot be read as a table: {error}") from None


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError:
        raise Refused(f"{path}: parquet needs pyarrow; install mixlaw[parquet], or use csv") from None
    except Exception as error:  # pyarrow raises its own, OSError, ValueError and KeyError for what is not parquet
        raise Refused(f"{path} cannot be read as a table: {error}") from None


def _lines(path: Path) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: line {number} is not JSON ({error}); correct or delete it") from None
    if not isinstance(row, dict):
        raise Refused(f"{path}: line {number} is not an object; write one {{column: value}} a line")
    return row
