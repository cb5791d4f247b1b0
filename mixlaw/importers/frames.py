"""Tables in files as others write them: csv, tsv, jsonl and parquet, compressed or not, and csv with semicolons."""

import gzip
import json
import re
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

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*")


def kind_of(path: Path) -> str:
    """The suffix that says what kind of table a file is, in small letters, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() == COMPRESSED else path).suffix.lower()


def has_semicolons(path: Path) -> bool:
    """Whether a csv is one of those that spreadsheets write where the comma is the decimal point."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return ";" in header and "," not in header


def read_frame(path: Path, text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a table as it stands; blank cells stay blank, and identifiers and the columns `text` are text.

    In a csv with semicolons between its columns a comma within a number is its decimal point.

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
        texts = (*IDENTIFIERS, *text)
        if kind == ".csv" and has_semicolons(path):
            return _with_decimal_points(read_csv(path, texts, ";"), texts)
        return read_csv(path, texts, "\t" if kind == ".tsv" else ",")
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


def _with_decimal_points(frame: pd.DataFrame, texts: tuple[str, ...]) -> pd.DataFrame:
    """Columns of nothing but numbers, some of them with a decimal comma, as numbers."""
    for name in frame.columns:
        cells = frame[name].dropna()
        if name not in texts and len(cells) and all(DECIMAL_COMMA.fullmatch(str(cell)) for cell in cells):
            frame = frame.assign(**{name: pd.to_numeric(frame[name].astype(str).str.replace(",", "."))})
    return frame


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
