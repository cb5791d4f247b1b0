"""Whatever a log nests is found under a dotted name."""

import json
import math

import pytest

from mixlaw.errors import Refused
from mixlaw.importers.base import Log, LoggedRun, unique_names
from mixlaw.importers.likely import likely_lists, likely_mixture
from mixlaw.importers.lists import parse_lists, with_lists
from mixlaw.importers.nested import as_settings, flatten

NESTED = {"mix": {"code": 0.25, "web": 0.75}}
FLAT = {"mix.code": 0.25, "mix.web": 0.75}


@pytest.mark.parametrize(
    "text",
    ["{'code': 0.25, 'web': 0.75}", '{"code": 0.25, "web": 0.75}', " {'code': .25, 'web': 0.75}"],
)
def test_a_mapping_that_was_written_as_text_is_one(text: str) -> None:
    assert flatten({"mix": text}) == as_settings({"mix": text}) == flatten(NESTED) == FLAT


@pytest.mark.parametrize("text", ["code:0.25,web:0.75", "code=.25; web=0.75", " code : 2.5e-1 , web : 0.75 "])
def test_numbers_by_name_as_people_write_them_are_a_mapping(text: str) -> None:
    assert flatten({"mix": text}) == FLAT


def test_a_name_of_pairs_may_have_a_colon() -> None:
    assert flatten({"mix": "dclm:science:0.25,web:0.75"}) == {"mix.dclm:science": 0.25, "mix.web": 0.75}


@pytest.mark.parametrize("text", ["web:0.5", "0.9,0.95", "a:1,b", "12:30:05, done", "s3://bucket:9000,x:y", "a:,b:"])
def test_text_that_is_not_all_numbers_by_name_stays_text(text: str) -> None:
    assert flatten({"note": text}) == {"note": text}


def test_the_members_of_a_list_go_by_their_place() -> None:
    expected = {"data.names.0": "web", "data.names.1": "code", "data.parts.0": 0.75, "data.parts.1": 0.25}
    assert flatten({"data": {"names": ["web", "code"], "parts": (0.75, 0.25)}}) == expected
    assert flatten({"data": "{'names': ['web', 'code'], 'parts': (0.75, 0.25)}"}) == expected


def test_a_loss_that_is_no_number_is_read_where_python_wrote_it() -> None:
    held = flatten({"summary": "{'web': nan, 'code': -inf, 'ok': None, 'state': 'done'}"})
    assert math.isnan(held.pop("summary.web")) and held == {"summary.code": -math.inf, "summary.state": "done"}


@pytest.mark.parametrize("text", ["[draft] run", "(1)", "{broken", "{'a': open('x')}", "{1, 2}", "[" * 2000, ""])
def test_other_text_stays_text(text: str) -> None:
    assert flatten({"note": text}) == {"note": text}


def test_neither_histograms_nor_flags_are_settings() -> None:
    assert flatten({"h": {"_type": "histogram", "values": [1, 2]}, "flag": True, "none": None, "lr": 0.1}) == {
        "lr": 0.1
    }


def lists(names: str, shares: str) -> LoggedRun:
    return LoggedRun(names, (), flatten({"data": {"names": names.split(), "shares": json.loads(shares)}, "lr": 0.1}))


def test_two_lists_are_a_mixture_whatever_the_order_of_its_names() -> None:
    log = Log("log", (lists("web code", "[0.75, 0.25]"), lists("code web", "[0.25, 0.75]"), LoggedRun("c", (), {})))
    named = with_lists(log, "data.names", "data.shares")
    expected = {"lr": 0.1, "data.shares.web": 0.75, "data.shares.code": 0.25}
    assert [run.settings for run in named.runs] == [expected, expected, {}]
    assert likely_mixture(log) == "mix.*=data.shares.*"
    assert likely_lists(log, "mix.*=data.shares.*") == "data.names=data.shares"
    assert likely_lists(named, "mix.*=data.shares.*") is None


@pytest.mark.parametrize(
    ("run", "names", "message"),
    [
        (lists("web code", "[0.75]"), "data.names", "data.names has 2 members and data.shares has 1"),
        (lists("web web", "[0.75, 0.25]"), "data.names", "data.names has 'web' twice"),
        (lists("web", "[1]"), "data.name", "did you mean 'data.names'"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(run: LoggedRun, names: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        with_lists(Log("log", (run,)), names, "data.shares")
    with pytest.raises(Refused, match="is not NAMES=VALUES"):
        parse_lists(names)


def test_identifiers_that_begin_alike_are_told_apart_by_the_whole() -> None:
    assert unique_names([("a", "sweep-001-x"), ("a", "sweep-001-y"), ("b", "z")]) == [
        "a-sweep-001-x",
        "a-sweep-001-y",
        "b",
    ]
