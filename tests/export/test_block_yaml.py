"""What we write as YAML is what a YAML 1.1 reader reads."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.export.block_yaml import to_yaml

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = text | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(text, trees, min_size=1, max_size=4))
def test_every_tree_of_text_and_numbers_reads_back_the_same(tree: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(tree)) == tree


@pytest.mark.parametrize("name", ["no", "Yes", "012", "1e5", "null", "~", "a: b", "- a", "#", "été", "😀", "a\nb", "="])
def test_names_that_yaml_takes_for_something_else_stay_names(name: str) -> None:
    assert yaml.safe_load(to_yaml({name: name})) == {name: name}


def test_small_numbers_stay_numbers() -> None:
    assert yaml.safe_load('{"weight": 1e-05}') == {"weight": "1e-05"}, "the trap that JSON would fall into"
    assert yaml.safe_load(to_yaml({"weight": 1e-05})) == {"weight": 1e-05}


def test_the_comment_is_not_read() -> None:
    assert yaml.safe_load(to_yaml({"a": 1}, "one\ntwo")) == {"a": 1}
