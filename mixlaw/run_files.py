"""Run tables on disk, whatever their columns: csv, parquet or jsonl."""

import json
from pathlib import Path

import pandas as pd

from mixlaw.csv_files import read_csv
from mixlaw.errors import Refused
from mixlaw.files import read_text, replacing

SUFFIXES = (".csv", ".parquet", ".jsonl")


def read_table(path: Path | str) -> pd.DataFrame:
    """Read the rows of a `.csv`, `.parquet` or `.jsonl` file, whatever its columns.

    Raises:
        Refused: if it is not there, or no table.
    """
    path = Path(path)
    if not path.exists():
        raise Refused(f"{path} does not exist; check the path")
    if path.is_dir():
        raise Refused(f"{path} is a folder, not a run table; name the file in it")
    _check_suffix(path)
    if path.stat().st_size == 0:
        raise Refused(f"{path} is empty; a run table has a header and one row per checkpoint")
    return {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}[path.suffix.lower()](path)


def write_table(frame: pd.DataFrame, path: Path | str) -> None:
    """Write rows whole or not at all, as the suffix says; floats read back exactly.

    Raises:
        Refused: for another suffix, or parquet without pyarrow.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    _check_suffix(path)
    with replacing(path) as temporary:
        if suffix == ".csv":
            frame.to_csv(temporary, index=False, lineterminator="\n")
        elif suffix == ".jsonl":
            lines = (
                json.dumps({k: v for k, v in row.items() if not pd.isna(v)}, sort_keys=True, ensure_ascii=False)
                for row in frame.astype(object).to_dict("records")
            )
            temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        else:
            _need_pyarrow(path)
            frame.to_parquet(temporary, index=False)


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        found = f"'{path.suffix}'" if path.suffix else "a name without suffix"
        hint = "; mixlaw import reads it" if path.suffix.lower() == ".tsv" else ""
        raise Refused(f"{path}: a run table is {', '.join(SUFFIXES)}, not {found}{hint}")


def _read_csv(path: Path) -> pd.DataFrame:
    return read_csv(path, texts=("run", "seed"))


def _read_jsonl(path: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Refused(f"{path}: line {number} is not JSON ({error}); correct or delete it") from None
        if not isinstance(row, dict):
            raise Refused(f"{path}: line {number} is not an object; write one {{column: value}} a line")
        rows.append(row)
    return pd.DataFrame(rows)


def _read_parquet(path: Path) -> pd.DataFrame:
    _need_pyarrow(path)
    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow raises its own, OSError and ValueError for what is not parquet
        raise Refused(f"{path} is not a parquet table: {error}") from None


def _need_pyarrow(path: Path) -> None:
    try:
        import pyarrow  # noqa: F401  (an optional extra)
    except ImportError:
        raise Refused(f"{path}: parquet needs pyarrow; install mixlaw[parquet], or use csv") from None
