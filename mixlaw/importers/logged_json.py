"""JSON files as logs hold them: they may say NaN."""

import json
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.files import read_text


def read_logged_json(path: Path) -> Any:
    """Read JSON that Python wrote: a run that diverged has logged `NaN`, which strict JSON does not know."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is not JSON: {error}; was its writing cut short?") from None
