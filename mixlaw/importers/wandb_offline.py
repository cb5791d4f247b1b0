"""Weights & Biases runs on disk: `wandb/offline-run-*/run-*.wandb`, without the wandb package.

The file is a log of records in the framing of LevelDB (7 bytes of header, then blocks of 32 KiB; each piece of a record
carries a checksum, a length and whether it is the whole, the first, a middle or the last piece), and each record is a
message of `wandb.proto.wandb_internal`. Field numbers are those of wandb 0.31.
"""

import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Reading, merge_steps, unique_names
from mixlaw.importers.nested import flatten
from mixlaw.importers.wandb_summary import about, with_summary
from mixlaw.importers.wire import Damaged, Message, every, last, number, parse, read_bytes, signed, text, zigzag
from mixlaw.wording import logged_again

MAGIC = b":W&B"
HEADER = 7
BLOCK = 32 * 1024
PIECE = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

HISTORY, SUMMARY, CONFIG, RUN, EXIT = 2, 3, 5, 17, 18
FACTS = {"project": 3, "group": 6, "job_type": 7, "sweep": 12}
"""Fields of a run's record that its settings keep."""


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


@dataclass
class Part:
    """What one file holds: a run, or what it logged from one start to the next.

    Attributes:
        name: displayed; the identifier where it has none.
        key: (project, identifier), the same for every part of a run.
        points: as they were logged, in their order.
        summary: what was set at the end.
        settings: the configuration, and `wandb.group` and the like.
        unfinished: why the run counts as such.
        damage: what could not be read, for people.
    """

    name: str
    key: tuple[str, str]
    points: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    unfinished: str = "running or cut short"
    damage: str = ""


def read_file(path: Path) -> Part:
    """One file, up to where it is cut short or damaged."""
    content = read_bytes(path)
    if not content.startswith(MAGIC):
        raise Refused(f"{path} is not a wandb log: it begins with {content[:7]!r}; pass the .wandb file or its folder")
    name = path.stem.removeprefix("run-")
    part = Part(name, ("", name))
    try:
        for record in map(parse, records(content)):
            _add(part, record)
    except Damaged as error:
        part.damage = f"{path.name}: {error}; what comes before is kept"
    return part


def _add(part: Part, record: Message) -> None:
    part.points += [_point(parse(history)) for history in every(record, HISTORY)]
    for run in map(parse, every(record, RUN)):
        facts = {name: text(last(run, number)) for name, number in FACTS.items()}
        part.key = (facts["project"], text(last(run, 1)) or part.key[1])
        part.name = text(last(run, 8)) or part.key[1]
        part.settings |= _items(every(run, 4)) | about(facts)
    part.settings |= _items(every(record, CONFIG))
    part.summary |= _items(every(record, SUMMARY))
    for ending in map(parse, every(record, EXIT)):
        code = last(ending, 1)
        part.unfinished = f"exited with code {signed(code)}" if isinstance(code, int) and code else ""


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """All runs under the folders; the files of a run that was resumed are put together, in the order of their names."""
    files = sorted({file for source in sources for file in _files(Path(source))}, key=lambda file: file.as_posix())
    parts = [read_file(file) for file in files]
    by_run: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        by_run.setdefault(part.key, []).append(part)
    shared = Counter(identifier for _, identifier in by_run)
    names = unique_names(
        (of_run[-1].name, identifier if shared[identifier] == 1 else f"{identifier}-{project}")
        for (project, identifier), of_run in by_run.items()
    )
    notes = [part.damage for part in parts if part.damage]
    runs = []
    for name, of_run in zip(names, by_run.values(), strict=True):
        run, said = _joined(name, of_run)
        runs.append(run)
        notes += said
    return Log(", ".join(sources), tuple(runs), notes=tuple(notes))


def _joined(name: str, parts: Sequence[Part]) -> tuple[LoggedRun, list[str]]:
    """One run of all its files, and notes; it ended as its last file did."""
    merged, replaced = merge_steps(point for part in parts for point in part.points if STEP in point)
    said = [f"{name}: {logged_again(replaced)}"] if replaced else []
    settings: dict[str, Any] = {}
    for part in parts:
        settings |= part.settings
    flat = flatten({key: value for key, value in settings.items() if not key.startswith("_wandb")})
    return LoggedRun(name, with_summary(merged, parts[-1].summary), flat, parts[-1].unfinished), said


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


def _items(records: list[bytes]) -> dict[str, Any]:
    """What a record of the configuration or of the summary sets."""
    items = (parse(item) for record in records for item in every(parse(record), 1))
    return {_key(item): _json(text(last(item, 16))) for item in items}


def _key(item: Message) -> str:
    return ".".join(text(part) for part in every(item, 2)) or text(last(item, 1))


def _value(item: Message) -> Any:
    """A logged value: JSON text (field 16), or in newer files a typed field of its own."""
    for place in (8, 16):
        if place in item:
            return _json(text(last(item, place)))
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
