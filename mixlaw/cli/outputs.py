"""Where a verb writes, checked before it works."""

import os
from pathlib import Path

from mixlaw.errors import Refused


def check_output(path: Path | None, suffix: str, content: str) -> None:
    """Refuse a file to write whose suffix says another format than it will have, or that cannot be written.

    Args:
        path: as the flag names it; None where nothing is written.
        suffix: of what is written, such as ".json".
        content: what is written, as the message calls it ("a law").
    """
    if path is None:
        return
    if path.suffix.lower() not in ("", suffix):
        raise Refused(f"{path}: {content} is {suffix}, not {path.suffix}; name it {path.with_suffix(suffix)}")
    if path.is_dir():
        raise Refused(f"{path} is a folder; name a file to write")
    above = next(folder for folder in (path.parent, *path.parent.parents) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise Refused(f"{path} cannot be written: {above} is no folder that may be written to; choose another")
