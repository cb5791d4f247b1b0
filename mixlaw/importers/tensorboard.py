"""TensorBoard event files, without the tensorboard package and without its subsampling of curves.

An event file is a series of records (length, checksum of the length, data, checksum of the data: the framing of
TFRecord), each a message `tensorflow.Event`. Scalars stand in it as 32-bit numbers, or since TensorFlow 2 as tensors of
one number. Field numbers are those of tensorboard 2.21.
"""

import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Point, Reading, add_to_last, folder_names, merge_steps
from mixlaw.importers.nested import flatten
from mixlaw.importers.wire import Damaged, Message, every, last, number, parse, read_bytes, signed, text
from mixlaw.wording import logged_again

FLOAT, DOUBLE = 1, 2
HPARAMS = "_hparams_/session_start_info"
POLYNOMIAL = 0x82F63B78


def records(content: bytes) -> Iterator[bytes]:
    """The records of an event file.

    Raises:
        Damaged: where the file ends within a record or a length is corrupted, after the records before.
    """
    place = 0
    while place < len(content):
        head = content[place : place + 12]
        if len(head) < 12:
            raise Damaged(f"the file ends within a record at byte {place}")
        size, checksum = struct.unpack("<QI", head)
        if masked_crc32c(head[:8]) != checksum:
            raise Damaged(f"the record at byte {place} is damaged")
        if place + 12 + size + 4 > len(content):
            raise Damaged(f"the file ends within a record at byte {place}")
        yield content[place + 12 : place + 12 + size]
        place += 12 + size + 4


@cache
def masked_crc32c(content: bytes) -> int:
    """The checksum of TFRecord: CRC-32C (Castagnoli), rotated right by 15 bits, plus a constant.

    Only lengths are checked, and a log has few of them, so what was worked out is kept.
    """
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_file(path: Path) -> tuple[list[Point], dict[str, Any], list[str]]:
    """Scalars by step, hyperparameters, and notes on what could not be read."""
    points: list[Point] = []
    settings: dict[str, Any] = {}
    notes: list[str] = []
    try:
        for record in records(read_bytes(path)):
            event = parse(record)
            step = last(event, 2)
            for summary in every(event, 5):
                for content in every(parse(summary), 1):
                    value = parse(content)
                    tag, scalar = text(last(value, 1)), _scalar(value)
                    if tag == HPARAMS:
                        settings |= _hyperparameters(value)
                    elif scalar is not None:
                        points.append({STEP: signed(step) if isinstance(step, int) else 0, tag: scalar})
    except Damaged as error:
        notes.append(f"{path.name}: {error}; what comes before is kept")
    return points, settings, notes


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """Every folder with event files is a run, called by its path, but for those in which a writer keeps what belongs to
    the run above: `add_hparams` its hyperparameters and final values, `add_scalars` each of its curves."""
    runs: dict[Path, LoggedRun] = {}
    closing: list[tuple[Path, LoggedRun]] = []
    notes: list[str] = []
    for folder in sorted({file.parent for source in sources for file in _files(Path(source))}):
        read = _read_folder(folder, notes)
        above = next((parent for parent in folder.parents if parent in runs), None)
        drawn = [] if above is None else _curve(read, folder.relative_to(above).as_posix())
        if above is not None and drawn:
            runs[above] = replace(runs[above], points=merge_steps([*runs[above].points, *drawn])[0])
        elif above == folder.parent and read.settings and len(read.points) < 2:
            closing.append((above, read))
        else:
            runs[folder] = read
    for above, read in closing:  # after all curves, so that final values go to the last step
        final = {name: value for point in read.points for name, value in point.items() if name != STEP}
        settings = {**runs[above].settings, **read.settings}
        runs[above] = replace(runs[above], settings=settings, points=add_to_last(runs[above].points, final))
    names = folder_names(list(runs), [Path(source) for source in sources])
    named = tuple(replace(run, name=name) for name, run in zip(names, runs.values(), strict=True))
    return Log(", ".join(sources), named, notes=tuple(notes))


def _read_folder(folder: Path, notes: list[str]) -> LoggedRun:
    """All event files of a folder, in the order of their names, which is that of time."""
    points: list[Point] = []
    settings: dict[str, Any] = {}
    for file in sorted(folder.glob("*tfevents*")):
        logged, hyperparameters, said = read_file(file)
        points += logged
        settings |= hyperparameters
        notes += said
    merged, replaced = merge_steps(points)
    if replaced:
        notes.append(f"{folder}: {logged_again(replaced)}")
    return LoggedRun("", merged, settings)


def _curve(run: LoggedRun, below: str) -> list[Point]:
    """The points of `add_scalars(tag, {name: value})` as `tag/name`; none if the folder is not such a one's.

    It has that tag alone. torch calls it `tag_name`, with no `/` left in the tag, and tensorboardX `tag/name`.
    """
    tags = {tag for point in run.points for tag in point} - {STEP}
    if len(tags) != 1 or run.settings:
        return []
    (tag,) = tags
    begins = next((start for start in (f"{tag.replace('/', '_')}_", f"{tag}/") if below.startswith(start)), "")
    name = below.removeprefix(begins)
    return [{STEP: point[STEP], f"{tag}/{name}": point[tag]} for point in run.points] if begins and name else []


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*tfevents*"))


def _scalar(value: Message) -> float | None:
    simple, tensor = last(value, 2), last(value, 8)
    if isinstance(simple, bytes):
        return number(simple)
    return _tensor(parse(tensor)) if isinstance(tensor, bytes) else None


def _tensor(tensor: Message) -> float | None:
    """The number in a tensor of one 32-bit or 64-bit number; none for any other tensor."""
    dtype = last(tensor, 1)
    size, field = {FLOAT: (4, 5), DOUBLE: (8, 6)}.get(dtype if isinstance(dtype, int) else 0, (0, 0))
    held = b"".join([*every(tensor, 4), *every(tensor, field)]) if size else b""
    return number(held) if size and len(held) == size else None


def _hyperparameters(value: Message) -> dict[str, Any]:
    """`HParamsPluginData.session_start_info.hparams`, a map from names to `google.protobuf.Value`."""
    found: dict[str, Any] = {}
    for metadata in every(value, 9):
        for plugin in every(parse(metadata), 1):
            for content in every(parse(plugin), 2):
                for start in every(parse(content), 3):
                    for entry in every(parse(start), 1):
                        found |= _entry(parse(entry))
    return flatten(found)


def _entry(entry: Message) -> dict[str, Any]:
    held = parse(b"".join(every(entry, 2)))
    figure, word = last(held, 2), last(held, 3)
    if isinstance(figure, bytes):
        return {text(last(entry, 1)): number(figure)}
    return {text(last(entry, 1)): text(word)} if word is not None else {}


IMPORTER = Importer(
    name="tensorboard",
    description="TensorBoard event files (folders with *tfevents*)",
    recognises=lambda path: bool(_files(path)) if path.is_dir() else "tfevents" in path.name,
    read=read,
)
