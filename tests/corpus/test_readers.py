"""People's text is read as it is, and what cannot be read is passed over and counted."""

import gzip
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlaw.corpus.readers import PIECE_CHARACTERS, Skipped, cut, read_documents
from mixlaw.errors import Refused

ROWS = ["one\r\ntwo", "três 漢字", "four"]


def lines(rows: list[str], field: str = "text") -> bytes:
    return "".join(json.dumps({field: row, "id": 1}) + "\n" for row in rows).encode()


def read(path: Path, text_field: str = "text") -> tuple[list[str], Counter[str]]:
    """Documents, and how many were skipped for which reason."""
    items = list(read_documents(path, text_field))
    return [item for item in items if isinstance(item, str)], Counter(
        item.reason for item in items if isinstance(item, Skipped)
    )


def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(ROWS)))
    frames = [zstandard.compress(lines(ROWS[:1])), zstandard.compress(lines(ROWS[1:]))]
    (tmp_path / "a.jsonl.zst").write_bytes(b"".join(frames))
    pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2, 3], "text": ROWS}), tmp_path / "a.parquet")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(lines(ROWS)))  # as C4 names them
    (tmp_path / "a.json.zst").write_bytes(zstandard.compress(lines(ROWS)))  # as Dolma does
    for kind in ("jsonl", "jsonl.gz", "jsonl.zst", "json.gz", "json.zst", "parquet"):
        assert read(tmp_path / f"a.{kind}") == (ROWS, Counter()), kind


def test_a_text_file_is_one_document_byte_for_byte_but_for_the_mark_it_opens_with(tmp_path: Path) -> None:
    for name, text in (("a.txt", ROWS[0]), ("b.md", ROWS[1])):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read(tmp_path / name) == ([text], Counter())


def test_a_folder_is_read_in_the_order_of_its_names_and_below(tmp_path: Path) -> None:
    for name in ("b/z.txt", "b/a.md", "a.txt", "c.jsonl", ".git/x.txt", ".hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(lines([name]) if name.endswith("l") else name.encode())
    assert read(tmp_path) == (["a.txt", "c.jsonl", "b/a.md", "b/z.txt"], Counter())


def test_what_is_not_text_is_skipped_and_counted_by_reason(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9 " * 9)
    (tmp_path / "c.txt").write_bytes(b"PK\0\3")
    (tmp_path / "d.txt").write_bytes(b"")
    (tmp_path / "e.md").write_bytes(b" \n")
    (tmp_path / "f.png").write_bytes(b"x")
    (tmp_path / "g.parquet").write_bytes(b"PAR1 is not enough")
    (tmp_path / "h.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "i.jsonl.zst").write_bytes(b"not zstandard")
    (tmp_path / "j.txt").write_bytes("é".encode()[:1])
    (tmp_path / "k.txt").symlink_to(tmp_path / "nowhere")
    assert read(tmp_path) == (
        ["fine"],
        Counter(
            {
                "files not UTF-8": 2,
                "files binary": 1,
                "files empty": 1,
                "documents empty": 1,
                "files of another kind (.png)": 1,
                "files damaged": 3,
            }
        ),
    )


def test_bad_rows_are_skipped_and_the_good_ones_beside_them_kept(tmp_path: Path) -> None:
    rows = [lines(["good"]), b"{broken\n", b'"a string"\n', b'{"text": 3}\n', b'{"other": "x"}\n', b"\n"]
    rows += [b'{"text": " "}\n', b'{"text": "caf\xe9"}\n', b'{"text": "\\ud800"}\n', lines(["last"])]
    (tmp_path / "a.jsonl").write_bytes(b"".join(rows))
    assert read(tmp_path / "a.jsonl") == (
        ["good", "last"],
        Counter(
            {
                "rows not JSON objects": 2,
                "rows without text in 'text'": 2,
                "documents empty": 1,
                "rows not UTF-8": 2,
            }
        ),
    )


@pytest.mark.parametrize(("kind", "pack"), [("gz", gzip.compress), ("zst", zstandard.compress)])
@pytest.mark.parametrize("lost_bytes", [1, 20_000])
def test_the_whole_rows_of_a_file_cut_short_are_kept(
    tmp_path: Path, kind: str, pack: Callable[[bytes], bytes], lost_bytes: int
) -> None:
    texts = [os.urandom(40).hex() for _ in range(20_000)]
    path = tmp_path / f"a.jsonl.{kind}"
    path.write_bytes(pack(lines(texts))[:-lost_bytes])
    documents, skipped = read(path)
    assert 15_000 < len(documents) <= 20_000 and documents == texts[: len(documents)]
    assert skipped == Counter({"files damaged": 1})


def test_parquet_rows_without_text_are_skipped(tmp_path: Path) -> None:
    table = pyarrow.table({"text": pyarrow.array(["a", None, ""]).dictionary_encode(), "n": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    skipped = Counter({"rows without text in 'text'": 1, "documents empty": 1})
    assert read(tmp_path / "a.parquet") == (["a"], skipped)
    assert read(tmp_path / "a.parquet", "n") == ([], Counter({"rows without text in 'n'": 3}))


def test_a_missing_field_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"not JSON\n" + lines(ROWS, "content"))
    with pytest.raises(Refused, match=r"a.jsonl has no field 'text'; it has: content, id; name .* --text-field"):
        read(tmp_path / "a.jsonl")
    assert read(tmp_path / "a.jsonl", "content")[0] == ROWS
    pyarrow.parquet.write_table(pyarrow.table({"body": ROWS}), tmp_path / "a.parquet")
    with pytest.raises(Refused, match=r"no column 'text'; it has: body"):
        read(tmp_path / "a.parquet")


def test_a_path_that_cannot_be_read_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not exist"):
        read(tmp_path / "nowhere")
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(Refused, match=r"no kind that is read; convert it to one of .txt"):
        read(tmp_path / "a.docx")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab \n"), max_size=9_000), max_size=9), st.sampled_from(["", "\n\n", "\n", "x"])
)
def test_pieces_of_running_text_join_to_the_text(blocks: list[str], end: str) -> None:
    blocks = [block * 3 + end for block in blocks]
    pieces = list(cut(blocks))
    assert "".join(pieces) == "".join(blocks)
    assert all(PIECE_CHARACTERS // 2 <= len(piece) <= PIECE_CHARACTERS for piece in pieces[:-1])
    assert len(pieces[-1:]) == bool("".join(blocks))


def test_running_text_is_cut_at_paragraphs_rather_than_lines_and_at_lines_rather_than_anywhere() -> None:
    paragraph = "word " * 1000 + "\n\n"
    assert all(piece.endswith("\n\n") for piece in cut([paragraph * 20]))
    line = "word " * 1000 + "\n"
    assert all(piece.endswith("\n") for piece in cut([line * 20]))
    assert [len(piece) for piece in cut(["x" * (PIECE_CHARACTERS + 5)])] == [PIECE_CHARACTERS, 5]


@pytest.mark.parametrize("lines", [200, 2_000, 50_000])
def test_a_text_file_that_is_a_whole_domain_is_cut_so_that_part_of_it_can_be_held_out(
    tmp_path: Path, lines: int
) -> None:
    text = "".join(f"Line number {number}.\n" for number in range(lines))
    (tmp_path / "book.txt").write_text(text)
    pieces, _ = read(tmp_path / "book.txt")
    assert "".join(pieces) == text and len(pieces) >= min(32, len(text) / 1024)
    assert max(map(len, pieces)) <= PIECE_CHARACTERS
    assert len(read(tmp_path)[0]) == -(-len(text) // PIECE_CHARACTERS)


def test_a_book_larger_than_a_block_is_read_in_pieces(tmp_path: Path) -> None:
    text = "".join(f"Línea número {number}.\n" for number in range(100_000))
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    documents, skipped = read(tmp_path / "book.txt")
    assert "".join(documents) == text and not skipped and len(documents) > 100


@pytest.mark.parametrize(("package", "kind"), [("zstandard", "jsonl.zst"), ("pyarrow", "parquet")])
def test_a_package_that_is_missing_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, kind: str
) -> None:
    (tmp_path / f"a.{kind}").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Refused, match=rf"a.{kind} needs the package {package}; install mixlaw\[train\]"):
        read(tmp_path)
