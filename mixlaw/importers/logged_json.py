"""JSON as logs hold it: files that may say NaN, and settings kept as text."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.files import read_text
from mixlaw.importers.base import flatten


def read_logged_json(path: Path) -> Any:
    """Read JSON that Python wrote: a run that diverged has logged `NaN`, which strict JSON does not know."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is not JSON: {error}; was its writing cut short?") from None


def as_settings(texts: Mapping[str, str]) -> dict[str, Any]:
    """Settings by dotted name from parameters that are text: `{"mix": '{"code": 0.5}'}` is `{"mix.code": 0.5}`.

    Text that is JSON of a number or an object is read as such; all other text stays text.
    """
    return flatten({name: _value(text) for name, text in texts.items()})


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float | dict) and not isinstance(value, bool) else text
