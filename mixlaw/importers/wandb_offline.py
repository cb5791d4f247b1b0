"""Weights & Biases runs on disk: `wandb/offline-run-*/run-*.wandb`, without the wandb package.

The file is a log of records in the framing of LevelDB (7 bytes of header, then blocks of 32 KiB; each piece of a record
carries a checksum, a length and whether it is the whole, the first, a middle or the last piece), and each record is a
message of `wandb.proto.wandb_internal`. Field numbers are those of wandb 0.31.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Reading, flatten, merge_steps, unique_names
from mixlaw.importers.wire import Damaged, Message, every, last, number, parse, read_bytes, signed, text, zigzag
from mixlaw.wording import logged_again

MAGIC = b":W&B"
HEADER = 7
BLOCK = 32 * 1024
PIECE = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

HISTORY, CONFIG, RUN, EXIT = 2, 5, 17, 18


def records(content: bytes) -> Iterator[bytes]:
    """The records of a `.wandb` file.

    Raises:
        Damaged: where a checksum is wrong or the file ends within a record, after the records before.
    """
    place, held = HEADER, b""
    while place + PIECE.size <= len(content):
        left = BLOCK - place % BLOCK
        if left < PIECE.size:
            place += left
            continue
        checksum, size, kind = PIECE.unpack_from(content, place)
        if not (checksum or size or kind):
            place += left  # the rest of a block is zeros
            continue
        place += PIECE.size
        piece = content[place : place + size]
        if len(piece) < size:
            raise Damaged(f"the file ends within a record at byte {place}")
        if kind not in (FULL, FIRST, MIDDLE, LAST) or zlib.crc32(piece, zlib.crc32(bytes([kind]))) != checksum:
            raise Damaged(f"the record at byte {place} is damaged")
        place += size
        held = piece if kind in (FULL, FIRST) else held + piece
        if kind in (FULL, LAST):
            yield held
    if place < len(content) and any(content[place:]):
        raise Damaged(f"the file ends within a record at byte {place}")


def read_file(path: Path) -> tuple[LoggedRun, str, list[str]]:
    """One run, its identifier, and notes on what could not be read of it."""
    content = read_bytes(path)
    if not content.startswith(MAGIC):
        raise Refused(f"{path} is not a wandb log: it begins with {content[:7]!r}; pass the .wandb file or its folder")
    name = identifier = path.stem.removeprefix("run-")
    settings: dict[str, Any] = {}
    points: list[dict[str, Any]] = []
    unfinished, notes = "running or cut short", []
    try:
        for record in map(parse, records(content)):
            points += [_point(parse(history)) for history in every(record, HISTORY)]
            for run in map(parse, every(record, RUN)):
                name, identifier = text(last(run, 8)) or text(last(run, 1)) or name, text(last(run, 1))
                settings |= _config(every(run, 4))
            settings |= _config(every(record, CONFIG))
            for ending in map(parse, every(record, EXIT)):
                code = last(ending, 1)
                unfinished = f"exited with code {signed(code)}" if isinstance(code, int) and code else ""
    except Damaged as error:
        notes.append(f"{path.name}: {error}; what comes before is kept")
    merged, replaced = merge_steps(point for point in points if STEP in point)
    if replaced:
        notes.append(f"{path.name}: {logged_again(replaced)}")
    flat = flatten({key: value for key, value in settings.items() if not key.startswith("_wandb")})
    return LoggedRun(name, merged, flat, unfinished), identifier, notes


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """All runs under the folders, each `.wandb` file one run."""
    files = sorted({file for source in sources for file in _files(Path(source))})
    found = [read_file(file) for file in files]
    names = unique_names((run.name, identifier) for run, identifier, _ in found)
    runs = [
        LoggedRun(name, run.points, run.settings, run.unfinished)
        for name, (run, _, _) in zip(names, found, strict=True)
    ]
    return Log(", ".join(sources), tuple(runs), notes=tuple(note for _, _, notes in found for note in notes))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("run-*.wandb"))


def _point(history: Message) -> dict[str, Any]:
    point = {_key(item): _value(item) for item in map(parse, every(history, 1))}
    for step in map(parse, every(history, 2)):
        counted = last(step, 1)
        point.setdefault("_step", counted if isinstance(counted, int) else 0)
    if isinstance(point.get("_step"), int | float):
        point[STEP] = point.pop("_step")
    return {name: value for name, value in flatten(point).items() if not name.startswith("_")}


def _config(records: list[bytes]) -> dict[str, Any]:
    items = (parse(item) for record in records for item in every(parse(record), 1))
    return {_key(item): _json(text(last(item, 16))) for item in items}


def _key(item: Message) -> str:
    return ".".join(text(part) for part in every(item, 2)) or text(last(item, 1))


def _value(item: Message) -> Any:
    """A logged value: JSON text (field 16), or in newer files a typed field of its own."""
    for field in (8, 16):
        if field in item:
            return _json(text(last(item, field)))
    integer, figure, word = last(item, 5), last(item, 6), last(item, 7)
    if isinstance(integer, int):
        return zigzag(integer)
    return number(figure) if isinstance(figure, bytes) else None if word is None else text(word)


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


IMPORTER = Importer(
    name="wandb-offline",
    description="Weights & Biases runs on disk (folders with run-*.wandb)",
    recognises=lambda path: any(True for _ in _files(path)[:1]) if path.is_dir() else path.suffix == ".wandb",
    read=read,
)
