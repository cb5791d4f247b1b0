"""Weights & Biases runs on disk, whole, cut short and damaged."""

import json
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log
from mixlaw.importers.wandb_offline import BLOCK, HEADER, records
from mixlaw.importers.wire import Damaged

Encoder = Callable[[Iterable[tuple[int, int | float | str | bytes]]], bytes]


def framed(contents: Iterable[bytes]) -> bytes:
    """A `.wandb` file: records cut into pieces at blocks of 32 KiB, as LevelDB's log does."""
    file = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
    for content in contents:
        begun = False
        while content or not begun:
            left = BLOCK - len(file) % BLOCK
            if left < 7:
                file += bytes(left)
                continue
            piece, content = content[: left - 7], content[left - 7 :]
            kind = {(False, False): 1, (False, True): 2, (True, True): 3, (True, False): 4}[begun, bool(content)]
            file += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            begun = True
    return file


@pytest.fixture
def log(message: Encoder) -> Callable[..., bytes]:
    """The file of a run with a nested configuration and losses at two steps."""

    def items(values: dict[str, Any]) -> list[tuple[int, bytes]]:
        return [(1, message([(1, key), (16, json.dumps(value))])) for key, value in values.items()]

    def make(
        identifier: str = "ida",
        exit_code: int | None = 0,
        bulk: int = 0,
        steps: Iterable[int] = (0, 10, 20),
        summary: dict[str, Any] | None = None,
        **facts: str,
    ) -> bytes:
        config = items({"mix": {"code": 0.25, "web": 0.75}, "params": 1_000_000, "_wandb": {"cli_version": "0.31"}})
        about = [({"project": 3, "group": 6, "sweep": 12}[name], value) for name, value in facts.items()]
        contents = [message([(17, message([(1, identifier), (4, message(config)), (8, "a"), *about]))])]
        for step in steps:
            row = {"eval/web": 3.0 - step / 100, "eval/code": 1.0, "note": "x" * bulk}
            contents.append(message([(2, message([*items(row), (2, message([(1, step)]))]))]))
        if summary is not None:
            contents.append(message([(3, message(items(summary)))]))
        if exit_code is not None:
            contents.append(message([(18, message([(1, exit_code)]))]))
        return framed(contents)

    return make


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / "wandb" / f"offline-run-20260101_000000-id{name}" / f"run-id{name}.wandb"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_a_run_comes_with_its_configuration_and_every_point(tmp_path: Path, log: Callable[..., bytes]) -> None:
    written(tmp_path, "a", log())
    (run,) = read_log((str(tmp_path / "wandb"),)).runs
    assert run.name == "a" and run.unfinished == ""
    assert run.settings == {"mix.code": 0.25, "mix.web": 0.75, "params": 1_000_000}
    assert [point["step"] for point in run.points] == [0, 10, 20]
    assert run.points[1] == {"step": 10, "eval/web": 2.9, "eval/code": 1.0, "note": ""}


def test_records_longer_than_a_block_are_put_together(tmp_path: Path, log: Callable[..., bytes]) -> None:
    written(tmp_path, "a", log(bulk=3 * BLOCK))
    (run,) = read_log((str(tmp_path),)).runs
    assert [len(point["note"]) for point in run.points] == [3 * BLOCK] * 3


@pytest.mark.parametrize("exit_code", [None, 1, -1, 255])
def test_a_run_that_did_not_end_well_is_unfinished(
    tmp_path: Path, log: Callable[..., bytes], exit_code: int | None
) -> None:
    written(tmp_path, "a", log(exit_code=exit_code))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.unfinished == ("running or cut short" if exit_code is None else f"exited with code {exit_code}")


def test_every_cut_keeps_the_records_before_it(log: Callable[..., bytes]) -> None:
    content = log()
    whole = list(records(content))
    for place in range(HEADER, len(content)):
        kept: list[bytes] = []
        try:
            for record in records(content[:place]):
                kept.append(record)
        except Damaged:
            pass
        assert kept == whole[: len(kept)]
    assert len(kept) == len(whole) - 1


def test_a_file_cut_short_is_read_and_said_to_be(tmp_path: Path, log: Callable[..., bytes]) -> None:
    content = log()
    written(tmp_path, "a", content[: len(content) - 30])
    log_read = read_log((str(tmp_path),))
    assert log_read.runs[0].unfinished == "running or cut short" and len(log_read.runs[0].points) >= 2
    assert any("ends within a record" in note for note in log_read.notes)


def test_a_damaged_record_ends_the_reading(tmp_path: Path, log: Callable[..., bytes]) -> None:
    content = bytearray(log())
    content[len(content) * 4 // 5] ^= 0xFF
    written(tmp_path, "a", bytes(content))
    damaged = read_log((str(tmp_path),))
    assert any("is damaged" in note for note in damaged.notes) and 1 <= len(damaged.runs[0].points) < 3


def test_typed_values_of_newer_files_are_read(tmp_path: Path, message: Encoder) -> None:
    row = (
        [(1, "loss.web"), (6, 2.25)],
        [(1, "count"), (5, 12)],
        [(1, "word"), (7, "text")],
        [(1, "nested"), (8, '{"a": 1}')],
    )
    history = message([*((1, message(item)) for item in row), (2, message([(1, 5)]))])
    written(tmp_path, "a", framed([message([(2, history)])]))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.points == ({"step": 5, "loss.web": 2.25, "count": 6, "word": "text", "nested.a": 1},)


def test_a_histogram_that_is_logged_member_by_member_is_no_metric(tmp_path: Path, message: Encoder) -> None:
    items = [([(2, "h"), (2, "_type"), (7, "histogram")]), [(2, "h"), (2, "bins"), (8, "[1, 2]")], [(1, "x"), (6, 2.5)]]
    history = message([*((1, message(item)) for item in items), (2, message([(1, 5)]))])
    summary = [message([(2, "h"), (2, name), (16, text)]) for name, text in (("_type", '"histogram"'), ("bins", "[1]"))]
    contents = [message([(2, history)]), message([(3, message([(1, item) for item in summary]))])]
    written(tmp_path, "a", framed(contents))
    assert read_log((str(tmp_path),)).runs[0].points == ({"step": 5, "x": 2.5},)


def test_runs_of_one_name_are_told_apart(tmp_path: Path, log: Callable[..., bytes]) -> None:
    written(tmp_path, "a", log("ida"))
    written(tmp_path, "b", log("idb"))
    assert [run.name for run in read_log((str(tmp_path),)).runs] == ["a-ida", "a-idb"]


def test_the_files_of_a_resumed_run_are_one_run_that_ended_as_the_last(
    tmp_path: Path, log: Callable[..., bytes]
) -> None:
    for number, (steps, code) in enumerate((((0, 10), 1), ((10, 20), 0))):
        folder = tmp_path / "wandb" / f"offline-run-20260101_00000{number}-ida"
        folder.mkdir(parents=True)
        (folder / "run-ida.wandb").write_bytes(log(exit_code=code, steps=steps))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.name == "a" and run.unfinished == "" and [point["step"] for point in run.points] == [0, 10, 20]


def test_one_identifier_in_two_projects_is_two_runs(tmp_path: Path, log: Callable[..., bytes]) -> None:
    for project in ("p", "q"):
        folder = tmp_path / project
        folder.mkdir()
        (folder / "run-ida.wandb").write_bytes(log(project=project))
    runs = read_log((str(tmp_path),)).runs
    assert [run.settings["wandb.project"] for run in runs] == ["p", "q"]
    assert [run.name for run in runs] == ["a-ida-p", "a-ida-q"]


def test_what_stands_in_the_summary_alone_belongs_to_the_last_point(tmp_path: Path, log: Callable[..., bytes]) -> None:
    summary = {"eval/web": 9.0, "eval/books": 2.0, "_runtime": 5, "nested": {"x": 1}}
    written(tmp_path, "a", log(summary=summary))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.points[-1] == {"step": 20, "eval/web": 2.8, "eval/code": 1.0, "note": ""} | {
        "eval/books": 2.0,
        "nested.x": 1,
    }
    assert all("eval/books" not in point for point in run.points[:-1])


def test_a_run_of_a_summary_alone_has_one_point(tmp_path: Path, log: Callable[..., bytes]) -> None:
    written(tmp_path, "a", log(steps=(), summary={"eval/web": 2.5}, group="swarm", sweep="s1"))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.points == ({"eval/web": 2.5},)
    assert run.settings["wandb.group"] == "swarm" and run.settings["wandb.sweep"] == "s1"


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "a", b"not a log")
    with pytest.raises(Refused, match=r"run-ida.wandb is not a wandb log"):
        read_log((str(tmp_path),))


def test_a_folder_of_runs_is_recognised(tmp_path: Path, log: Callable[..., bytes]) -> None:
    path = written(tmp_path, "a", log())
    assert importer_of((str(tmp_path),)).name == importer_of((str(path),)).name == "wandb-offline"
