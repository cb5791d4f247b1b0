"""A folder that is whole or absent, and what a kill leaves of one."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mixlaw.errors import Refused

OLD = ".old"
"""Ends the name of a folder that is about to be replaced."""


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that becomes it when the block ends well, and is removed otherwise.

    It is locked, which the kernel undoes however the process ends, so the next call for the same `out` knows what a
    kill has left, and removes it; a folder that was being replaced and has no successor is put back.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _clear(out)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=_prefix(out)))
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror}; choose another folder") from error
    old = temporary.with_name(temporary.name + OLD)
    handle = os.open(temporary, os.O_RDONLY)
    _owned(handle)
    try:
        yield temporary
        temporary.chmod(0o755)
        if out.exists():
            out.rename(old)
        temporary.rename(out)
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror}; make room, or choose another folder") from error
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        os.close(handle)


def _prefix(out: Path) -> str:
    return f".{out.name}.building-"


def _clear(out: Path) -> None:
    """Remove what killed processes left; what a living one builds is locked, and stays."""
    left = [path for path in sorted(out.parent.glob(f"{_prefix(out)}*")) if path.is_dir() and not path.is_symlink()]
    for folder in left:
        with suppress(FileNotFoundError):  # its process has just ended
            handle = os.open(folder, os.O_RDONLY)
            try:
                if not _owned(handle):
                    continue
                if folder.name.endswith(OLD) and not out.exists():
                    folder.rename(out)
                else:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _owned(handle: int) -> bool:
    """Lock a folder if nobody has; on a file system without locks nothing is ever owned, and so nothing removed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
