"""Files that are whole or absent: atomic writes, strict JSON, content hashes."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes `path` when the block ends well.

    The bytes are flushed to disk before the rename, and the folder after it, so a reader sees the old file or the new
    one, never a part of either. When the block raises, the temporary file is removed and `path` is untouched.
    """
    path = Path(path)
    if path.is_dir():
        raise Refused(f"{path} is a folder; name a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}; choose another folder") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write JSON with sorted keys and floats that read back to the same bits; NaN and infinity are refused."""
    write_text(path, to_json(content))


def to_json(content: Any) -> str:
    """Serialise with sorted keys, two-space indents and a final newline."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_text(path: Path | str) -> str:
    """Read UTF-8 text (a byte-order mark is dropped); refuse what is absent, unreadable or not UTF-8."""
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Refused(f"{path} does not exist; check the path") from None
    except IsADirectoryError:
        raise Refused(f"{path} is a folder, not a file") from None
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None


def read_json(path: Path | str) -> Any:
    """Read strict JSON: NaN, infinity and repeated keys are refused, with the place of any syntax error."""
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Refused(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}; correct the JSON") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: {error}") from None


def flush(path: Path) -> None:
    """Have the disk hold what a file holds, or the names in a folder: a file whose name is lost is lost."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path | str) -> str:
    """Hash a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key '{next(k for k in keys if keys.count(k) > 1)}' appears twice; keep one")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number; leave the value out")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
