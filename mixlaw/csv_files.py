"""Tables in csv: read only if the file is what it claims to be, so that no cell ends up in another's column."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mixlaw.errors import Refused
from mixlaw.wording import counted

OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What some programs write between the cells of what they call csv."""

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*")


def read_csv(path: Path, texts: Sequence[str] = (), separator: str = ",") -> pd.DataFrame:
    """Read a csv table as it stands: blank cells are NaN, and the columns named in `texts` stay text.

    Spreadsheets write semicolons between the cells where the comma is the decimal point. Where the header says so
    without doubt, see `has_semicolons`, the table is read so.

    Raises:
        Refused: for a file that is not UTF-8, whose header repeats a name or is separated by something else, or one of
            whose rows is longer or shorter than the header, naming the place.
    """
    if not path.stat().st_size:
        raise Refused(f"{path} is empty; a csv table begins with a header")
    spreadsheet = separator == "," and has_semicolons(path)
    separator = ";" if spreadsheet else separator
    _check_header(path, separator)
    _check_rows(path, separator)
    kinds = dict.fromkeys(texts, str)
    try:
        frame = pd.read_csv(path, sep=separator, dtype=kinds, encoding="utf-8-sig", low_memory=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        why = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise Refused(f"{path} is not a csv table: {why}; give every row the columns of the header") from None
    return _with_decimal_points(frame, texts) if spreadsheet else frame


def has_semicolons(path: Path) -> bool:
    """Whether a csv has semicolons between its columns: they cut the header in several, and no name has a comma."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    cells = next(csv.reader([_first_lines(path)[0]], delimiter=";"), [])
    return len(cells) > 1 and not any("," in cell for cell in cells)


def about_semicolons(path: Path) -> list[str]:
    """How a csv with semicolons was read, in words; nothing of any other file."""
    said = f"{path}: semicolons between its columns, so that a comma within a number is its decimal point"
    return [said] if has_semicolons(path) else []


def _with_decimal_points(frame: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """Columns of nothing but numbers, some of them with a decimal comma, as numbers."""
    for name in frame.columns:
        cells = frame[name].dropna()
        if name not in texts and len(cells) and all(DECIMAL_COMMA.fullmatch(str(cell)) for cell in cells):
            frame = frame.assign(**{name: pd.to_numeric(frame[name].astype(str).str.replace(",", "."))})
    return frame


def _check_header(path: Path, separator: str) -> None:
    first, second = _first_lines(path)
    header = next(csv.reader([first], delimiter=separator), [])
    names = [name.strip() for name in header]
    for place, name in enumerate(names):
        if name and name in names[:place]:  # pandas would call the second one by a name of its own
            raise Refused(
                f"{path}: column '{name}' appears twice, as {names.index(name) + 1} and {place + 1}; keep one"
            )
    for other, called in OTHER_SEPARATORS.items():
        cells = next(csv.reader([first], delimiter=other), [])
        if other != separator and len(cells) > len(header):
            comma = ', decimal=","' if _has_decimal_commas(second, other) else ""
            wanted = {",": "commas", "\t": "tabs"}.get(separator, separator)
            raise Refused(
                f"{path} has {called} between its columns ({cells[0]}{other}{cells[1]}...), where {wanted} are needed; "
                f"convert it, in Python: pandas.read_csv({str(path)!r}, sep={other!r}{comma})"
                f".to_csv('{path.stem}-commas.csv', index=False)"
            )


def _check_rows(path: Path, separator: str) -> None:
    """Refuse rows of another length than the header: pandas fills short ones with blanks, and takes the first cell of
    long ones for a label where all are long."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator)
        try:
            width = len(next(rows, []))
            for row in rows:
                if row and len(row) != width:
                    raise Refused(
                        f"{path}: line {rows.line_num} has {counted(len(row), 'cell')}, the header has {width}; give "
                        "every row the columns of the header"
                        + (", or write the file again if it was cut off" if len(row) < width else "")
                    )
        except UnicodeDecodeError as error:
            raise Refused(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
        except csv.Error as error:
            raise Refused(f"{path}: line {rows.line_num}: {error}; correct it") from None


def _first_lines(path: Path) -> tuple[str, str]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return file.readline().rstrip("\r\n"), file.readline()


def _has_decimal_commas(line: str, separator: str) -> bool:
    """Whether cells of a line are numbers written as 0,5."""
    cells = next(csv.reader([line], delimiter=separator), [])
    return any(cell.count(",") == 1 and cell.replace(",", "").strip().isdigit() for cell in cells)
