"""TensorBoard event files: both kinds of scalar, hyperparameters, restarts, and files cut short."""

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log
from mixlaw.importers.tensorboard import masked_crc32c

Encoder = Callable[[Iterable[tuple[int, int | float | str | bytes]]], bytes]
Writer = Callable[..., bytes]


def framed(events: Iterable[bytes]) -> bytes:
    """TFRecord: length, its checksum, data, its checksum."""
    file = b""
    for event in events:
        size = struct.pack("<Q", len(event))
        file += size + struct.pack("<I", masked_crc32c(size)) + event + struct.pack("<I", masked_crc32c(event))
    return file


def float_field(number: int, value: float) -> bytes:
    return bytes([number << 3 | 5]) + struct.pack("<f", value)


@pytest.fixture
def scalar(message: Encoder) -> Writer:
    """An event with one scalar, as torch writes it or as TensorFlow 2 does (a tensor)."""

    def make(step: int, tag: str, value: float, tensor: bool = False) -> bytes:
        content = message([(1, tag)]) + float_field(2, value)
        if tensor:
            held = message([(1, 1), (2, b""), (4, struct.pack("<f", value))])
            content = message([(1, tag), (8, held)])
        return message([(1, 1.7e9), (2, step), (5, message([(1, content)]))])

    return make


@pytest.fixture
def hyperparameters(message: Encoder) -> Writer:
    """An event with the hyperparameters of a run: 2 is a number's field, 3 a text's."""

    def make(pairs: dict[str, tuple[int, float | str]]) -> bytes:
        start = message([(1, message([(1, name), (2, message([held]))])) for name, held in pairs.items()])
        plugin = message([(1, "hparams"), (2, message([(3, start)]))])
        value = message([(1, "_hparams_/session_start_info"), (9, message([(1, plugin)]))])
        return message([(5, message([(1, value)]))])

    return make


def test_the_checksum_is_that_of_the_format() -> None:
    """CRC-32C of "123456789" is E3069283 (RFC 3720, B.4 gives its kin); masked as TensorFlow does."""
    masked = ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc32c(b"123456789") == masked


@pytest.mark.parametrize("tensor", [False, True])
def test_every_point_of_a_curve_is_read(tmp_path: Path, scalar: Writer, tensor: bool) -> None:
    steps = range(0, 20_000, 10)
    (tmp_path / "a").mkdir()
    events = framed(scalar(step, "eval/web", 2.5, tensor) for step in steps)
    (tmp_path / "a" / "events.out.tfevents.1.host").write_bytes(events)
    (run,) = read_log((str(tmp_path),)).runs
    assert run.name == "a" and [point["step"] for point in run.points] == list(steps)
    assert {point["eval/web"] for point in run.points} == {2.5}


def test_a_restart_replaces_what_it_logs_again_and_says_so(tmp_path: Path, scalar: Writer) -> None:
    first = framed([scalar(10, "loss", 3.0), scalar(20, "loss", 2.0)])
    second = framed([scalar(20, "loss", 2.5), scalar(30, "loss", 1.5)])
    (tmp_path / "events.out.tfevents.1.host").write_bytes(first)
    (tmp_path / "events.out.tfevents.2.host").write_bytes(second)
    log = read_log((str(tmp_path),))
    assert [point["loss"] for point in log.runs[0].points] == [3.0, 2.5, 1.5]
    assert any("1 value logged again" in note for note in log.notes)


def test_hyperparameters_of_the_folder_below_are_settings_of_the_run(
    tmp_path: Path, scalar: Writer, hyperparameters: Writer
) -> None:
    (tmp_path / "a" / "1699").mkdir(parents=True)
    (tmp_path / "a" / "events.out.tfevents.1.host").write_bytes(framed([scalar(10, "loss.web", 3.0)]))
    event = hyperparameters({"mix.web": (2, 0.75), "note": (3, "text")})
    (tmp_path / "a" / "1699" / "events.out.tfevents.1.host").write_bytes(framed([event]))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.name == "a" and run.settings == {"mix.web": 0.75, "note": "text"}


@pytest.mark.parametrize("folder", ["eval_loss_{}", "eval/loss/{}"])
def test_every_curve_of_one_chart_is_one_of_the_run_above(tmp_path: Path, scalar: Writer, folder: str) -> None:
    """torch's `add_scalars` writes each curve into a folder of its own, and so does tensorboardX."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "events.out.tfevents.1.host").write_bytes(framed([scalar(10, "tokens", 1000.0)]))
    for name, value in (("web", 2.5), ("code_2", 1.5)):
        place = tmp_path / "a" / folder.format(name)
        place.mkdir(parents=True)
        (place / "events.out.tfevents.1.host").write_bytes(framed([scalar(10, "eval/loss", value)]))
    (run,) = read_log((str(tmp_path),)).runs
    assert run.name == "a"
    assert run.points == ({"step": 10, "tokens": 1000.0, "eval/loss/web": 2.5, "eval/loss/code_2": 1.5},)


def test_a_run_below_another_stays_one_though_it_has_hyperparameters(
    tmp_path: Path, scalar: Writer, hyperparameters: Writer
) -> None:
    """As of a stray event file in the folder of all runs, and runs of Lightning below it."""
    (tmp_path / "version_0").mkdir()
    (tmp_path / "events.out.tfevents.1.host").write_bytes(framed([scalar(10, "x", 3.0)]))
    below = framed([hyperparameters({"mix.web": (2, 0.75)}), scalar(9, "val", 3.0), scalar(19, "val", 2.0)])
    (tmp_path / "version_0" / "events.out.tfevents.1.host").write_bytes(below)
    runs = {run.name: run for run in read_log((str(tmp_path),)).runs}
    assert len(runs) == 2 and runs["version_0"].settings == {"mix.web": 0.75} and len(runs["version_0"].points) == 2


def test_final_values_beside_hyperparameters_belong_to_the_last_point(
    tmp_path: Path, scalar: Writer, hyperparameters: Writer
) -> None:
    (tmp_path / "a" / "1699").mkdir(parents=True)
    (tmp_path / "a" / "events.out.tfevents.1.host").write_bytes(framed([scalar(10, "x", 3.0), scalar(20, "x", 2.0)]))
    below = framed([hyperparameters({"mix.web": (2, 0.75)}), scalar(0, "final/web", 2.5), scalar(0, "x", 9.0)])
    (tmp_path / "a" / "1699" / "events.out.tfevents.1.host").write_bytes(below)
    (run,) = read_log((str(tmp_path),)).runs
    assert run.points == ({"step": 10, "x": 3.0}, {"step": 20, "x": 2.0, "final/web": 2.5})


def test_a_file_cut_short_or_damaged_keeps_what_comes_before(tmp_path: Path, scalar: Writer) -> None:
    whole = framed(scalar(step, "loss", 3.0) for step in (10, 20, 30))
    size = len(whole) // 3
    for place, content in (
        (2 * size, whole[: 2 * size + 5]),
        (2 * size, whole[:-1]),
        (size, whole[:size] + b"\xff" + whole[size + 1 :]),
    ):
        (tmp_path / "events.out.tfevents.1.host").write_bytes(content)
        log = read_log((str(tmp_path),))
        assert len(log.runs[0].points) == place // size
        assert len(log.notes) == 1 and "what comes before is kept" in log.notes[0]


def test_a_folder_and_a_file_are_recognised(tmp_path: Path, scalar: Writer) -> None:
    file = tmp_path / "events.out.tfevents.1.host"
    file.write_bytes(framed([scalar(10, "loss", 3.0)]))
    assert importer_of((str(tmp_path),)).name == importer_of((str(file),)).name == "tensorboard"


def test_a_log_of_which_nothing_can_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"not an event file")
    with pytest.raises(Refused, match=r"1 run found, but nothing was logged; .*is damaged"):
        read_log((str(tmp_path),))
