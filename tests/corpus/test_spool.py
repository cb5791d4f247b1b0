"""Documents are kept once, in the order of their hashes, and the first are held out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlaw.corpus.readers import Skipped
from mixlaw.corpus.spool import Texts, held_out, spool
from mixlaw.errors import Refused


def spooled(folder: Path, **domains: list[str | Skipped]) -> dict[str, Texts]:
    return spool(domains, folder, lambda doing, done, total: None)


def documents(texts: Texts) -> list[str]:
    return list(texts.read(0, len(texts.sizes)))


def test_every_document_comes_back_once_whatever_the_order_it_came_in(tmp_path: Path) -> None:
    given = [f"document {number} ✓ " * (number % 7 + 1) for number in range(200)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    forward = spooled(tmp_path / "a", web=[*given, *given[:50]])["web"]
    backward = spooled(tmp_path / "b", web=given[::-1])["web"]
    assert documents(forward) == documents(backward) != given
    assert sorted(documents(forward)) == sorted(given)
    assert (forward.duplicates, backward.duplicates) == (50, 0)
    assert forward.sizes.sum() == sum(len(text.encode()) for text in given)


def test_a_text_of_two_domains_stays_in_the_one_named_first(tmp_path: Path) -> None:
    texts = spooled(tmp_path, web=["a", "b", "same", "same"], code=["same", "c", "d", Skipped("files binary")])
    assert sorted(documents(texts["web"])) == ["a", "b", "same"]
    assert sorted(documents(texts["code"])) == ["c", "d"]
    assert (texts["web"].duplicates, texts["code"].duplicates) == (1, 1)
    assert (texts["web"].skipped, texts["code"].skipped) == ({}, {"files binary": 1})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ([Skipped("files binary"), Skipped("files binary")], r"'code' has no document \(skipped files binary: 2\)"),
        ([], r"no document \(nothing was skipped\)"),
        (["only"], "one document .*at least two, one to train on and one held out; add text"),
        (["a", "b", "only", "only"], r"one document \(skipped duplicates: 3\)"),
    ],
)
def test_a_domain_without_two_documents_of_its_own_is_refused(
    tmp_path: Path, code: list[str | Skipped], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        spooled(tmp_path, web=["a", "b"], code=code)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=60), st.floats(0.001, 0.5), st.integers(1, 10**6))
def test_what_is_held_out_is_enough_and_no_more(sizes: list[int], share: float, least_bytes: int) -> None:
    total = sum(sizes)
    count = held_out(np.array(sizes), share, least_bytes)
    wanted = max(share * total, min(least_bytes, 0.2 * total))
    assert 1 <= count < len(sizes)
    assert sum(sizes[:count]) >= wanted or count == len(sizes) - 1
    assert count == 1 or sum(sizes[: count - 1]) < wanted


def test_a_small_domain_holds_out_more_of_itself_than_a_large_one() -> None:
    small, large = np.full(100, 10_000), np.full(10_000, 10_000)
    assert held_out(small, 0.05, 196_608) == 20
    assert held_out(large, 0.05, 196_608) == 500


def test_what_a_small_share_holds_out_a_larger_share_holds_out_too(tmp_path: Path) -> None:
    texts = spooled(tmp_path, web=[f"document {number}" for number in range(100)])["web"]
    fewer, more = (set(texts.read(0, held_out(texts.sizes, share, 1))) for share in (0.05, 0.3))
    assert fewer < more
