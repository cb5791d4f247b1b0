"""A file is whole or absent, and what is written reads back to the same bits."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.errors import Refused
from mixlaw.files import read_json, replacing, to_json, write_json


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_that_json_cannot_hold_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "law.json", {"a": float("nan")})
    assert not (tmp_path / "law.json").exists()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_read_back_to_the_same_bits(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    path = tmp_path_factory.mktemp("floats") / "x.json"
    write_json(path, numbers)
    assert [number.hex() for number in read_json(path)] == [number.hex() for number in numbers]


def test_keys_are_sorted_so_that_equal_content_is_equal_text() -> None:
    assert to_json({"b": 1, "a": 2}) == to_json({"a": 2, "b": 1})


def test_a_folder_is_not_a_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is a folder"):
        write_json(tmp_path, {})


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b'{"a": 1, "a": 2}', b"{'a': 1}"])
def test_what_is_not_strict_json_is_refused_by_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"x\.json"):
        read_json(path)
