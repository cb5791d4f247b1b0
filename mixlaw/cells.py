"""The cells of a table: what they hold, or which row and column it is that cannot be."""

import numpy as np
import pandas as pd

from mixlaw.errors import Refused
from mixlaw.wording import from_words


def checked_numbers(column: pd.Series, name: str, source: str, blank_ok: bool) -> pd.Series:
    """A column as floats, blanks as NaN; refuse what is no finite number, and blanks where none may be, by row."""
    if column.dtype == bool:
        raise Refused(f"{source}: column '{name}' holds true and false; it must hold numbers")
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    blank = numbers.isna()
    unread = column[blank]
    words = unread.astype(str).str.strip().str.lower()
    wrong = blank.copy()
    wrong[blank] = unread.notna() & ~words.isin(["", "nan", "none", "null", "na", "n/a"])
    blank &= ~wrong
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        meant = from_words(str(column.iloc[row]))
        mend = "correct it" if meant is None else f"write {meant:.15g}"
        raise Refused(f"{source}: row {row + 1}, column '{name}': '{column.iloc[row]}' is not a number; {mend}")
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.flatnonzero(infinite)[0])
        raise Refused(
            f"{source}: row {row + 1}, column '{name}': {column.iloc[row]} is not finite; "
            "leave it blank if it was not measured"
        )
    if blank.any() and not blank_ok:
        row = int(np.flatnonzero(blank)[0])
        raise Refused(f"{source}: row {row + 1}, column '{name}' is blank; every row needs it")
    return numbers


def checked_names(column: pd.Series, name: str, source: str) -> pd.Series:
    """A column as text; refuse a blank by row."""
    blank = column.isna() | (column.astype(str).str.strip() == "")
    if blank.any():
        raise Refused(f"{source}: row {int(np.flatnonzero(blank)[0]) + 1}, column '{name}' is blank; name every {name}")
    return column.astype(str)


def refuse_rows(frame: pd.DataFrame, wrong: pd.Series, name: str, source: str, needed: str) -> None:
    """Refuse a column in the first row where it is wrong, naming the run where the table has runs."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        run = f" (run '{frame['run'].iloc[row]}')" if "run" in frame else ""
        raise Refused(f"{source}: row {row + 1}{run}, column '{name}' is {frame[name].iloc[row]:g}; {needed}")
