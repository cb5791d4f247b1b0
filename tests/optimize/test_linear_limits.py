"""Linear limits are read as they are written, or refused with the place."""

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.optimize.linear import linear_limit, with_linear_limits

NAMES = ("web", "code", "books", "pile-cc", "common crawl", "web2", "pile")


@pytest.mark.parametrize(
    ("text", "row", "bound"),
    [
        ("code + books <= 0.4", {"code": 1, "books": 1}, 0.4),
        ("code+books<=0.4", {"code": 1, "books": 1}, 0.4),
        ("0.4 >= code + books", {"code": 1, "books": 1}, 0.4),
        ("web >= 2 * books", {"web": -1, "books": 2}, 0.0),
        ("web - 2*books >= .1", {"web": -1, "books": 2}, -0.1),
        ("code <= 0.1 + 0.5 * web", {"code": 1, "web": -0.5}, 0.1),
        ("pile-cc + web2 <= 3e-1", {"pile-cc": 1, "web2": 1}, 0.3),
        ("pile - code <= 0", {"pile": 1, "code": -1}, 0.0),
        ("'common crawl' <= 0.5", {"common crawl": 1}, 0.5),
        ("common crawl - web <= 0", {"common crawl": 1, "web": -1}, 0.0),
        ('"pile-cc" ≤ 0.5', {"pile-cc": 1}, 0.5),
        ("code + code <= 0.4", {"code": 2}, 0.4),
    ],
)
def test_a_limit_is_read_as_it_is_written(text: str, row: dict[str, float], bound: float) -> None:
    found, level = linear_limit(text, NAMES)
    assert dict(zip(NAMES, found, strict=True)) == {**dict.fromkeys(NAMES, 0.0), **row}
    assert level == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code + books", "compares nothing"),
        ("code = 0.4", "'=', which is not <= or >=; for equality give both"),
        ("code < 0.4", "'<', which is not"),
        ("code == 0.4", "'==', which is not"),
        ("0.1 <= code <= 0.4", "compares twice"),
        ("cod <= 0.4", "did you mean 'code'"),
        ("code books <= 0.4", "expected \\+ or - before 'books"),
        ("<= 0.4", "nothing on one side"),
        ("0.2 <= 0.4", "leaves no domain"),
        ("code - code <= 0.4", "leaves no domain"),
        ("code <= 40%", "for 40% write 0.4"),
        ("2 * <= 0.4", "expected a domain"),
        ("'code <= 0.4", "quote is not closed|compares nothing"),
        ("code * 2 <= 0.4", "expected \\+ or - before '\\* 2"),
        ("web3 <= 0.4", "no domain is called 'web3'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        linear_limit(text, NAMES)
    assert text in str(refused.value)


def test_limits_in_words_join_the_others_and_keep_their_words() -> None:
    limits = with_linear_limits(Limits.of(NAMES, caps={"web": 0.2}), ["code  +  books <= 0.4", "web2 >= 0.1"])
    assert limits.names == ("code + books <= 0.4", "web2 >= 0.1")
    assert limits.allows(np.array([0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.0]))
    assert not limits.allows(np.array([0.2, 0.3, 0.2, 0.1, 0.1, 0.1, 0.0]))
    assert with_linear_limits(limits, []) is limits


def test_a_quoted_name_may_have_a_comparison_in_it() -> None:
    names = ("score<=3", "score>3")
    row, bound = linear_limit("'score<=3' + 0.2 <= 2 * \"score>3\"", names)
    assert row.tolist() == [1.0, -2.0] and bound == pytest.approx(-0.2)
