"""A name that is not known is met by the one that was meant, or by what there is."""

import pytest

from mixlaw.errors import Refused, nearest, one_of

DOMAINS = ["books", "code", "pile_cc", "github", "stack-exchange", "wiki"]


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        ("bokos", "books"),
        ("cod", "code"),
        ("CODE", "code"),
        ("Pile-CC", "pile_cc"),
        ("stackexchange", "stack-exchange"),
        ("stack", "stack-exchange"),
        ("wikipedia", "wiki"),
        ("gihtub", "github"),
    ],
)
def test_a_name_that_is_close_is_suggested(found: str, meant: str) -> None:
    assert nearest(found, DOMAINS) == meant


@pytest.mark.parametrize("found", ["foo", "maths", "legal", "x", "", "...", "news"])
def test_a_name_that_resembles_nothing_gets_no_suggestion(found: str) -> None:
    assert nearest(found, DOMAINS) is None


def test_of_names_that_hold_the_one_given_the_shortest_is_meant() -> None:
    assert nearest("stack", ["stack-overflow", "stack-ex", "smack"]) == "stack-ex"


def test_names_without_letters_are_told_apart_as_they_are() -> None:
    assert nearest("??", ["!!", "?"]) == "?" and nearest("--", ["!!"]) is None


def test_all_names_are_listed_and_of_a_hundred_the_first_few() -> None:
    with pytest.raises(Refused, match=r"^no domain is called 'foo'; there are: books, code, .*, wiki$"):
        one_of("foo", DOMAINS, "domain")
    hundred = [f"domain{number}" for number in range(100)]
    with pytest.raises(Refused, match=r"there are: domain0, domain1, .*, domain23 and 76 more$"):
        one_of("foo", hundred, "domain")
