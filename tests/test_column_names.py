"""A column that is nearly right is pointed at with the name it needs."""

from collections.abc import Callable

import pandas as pd
import pytest

from mixlaw.column_names import meant, misspelt
from mixlaw.errors import Refused
from mixlaw.runs import check_runs

Planted = Callable[..., pd.DataFrame]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("tokens", "Tokens"),
        ("tokens", "n_tokens"),
        ("params", "Parameters"),
        ("run", "run_id"),
        *[("mix.web", name) for name in ("Mix.web", "mix_web", "mix/web", "mix web", "MIX.web", "mix .web")],
        *[("loss.web", name) for name in ("Loss.web", "loss_web", "loss/web", "loss:web")],
    ],
)
def test_a_near_miss_is_pointed_at(planted: Planted, right: str, wrong: str) -> None:
    separator = "." if wrong.lower().replace(" ", "").startswith(("mix.", "loss.")) else wrong[len(right) - 4]
    kind, dot, _ = right.partition(".")
    frame = planted(runs=4)
    if dot and separator != ".":  # every column of the kind, as a user would have it
        frame = frame.rename(columns=lambda name: name.replace(f"{kind}.", f"{kind}{separator}"))
    else:
        frame = frame.rename(columns={right: wrong})
    with pytest.raises(Refused, match=f"rename .*'{wrong}' to '{right}'"):
        check_runs(frame)


def test_columns_that_merely_begin_alike_are_left_alone(planted: Planted) -> None:
    table = check_runs(planted(runs=4).assign(mix_name="a", loss_scale=1.0, Tokens=3))
    assert table.notes == ("columns kept but not used: mix_name, loss_scale, Tokens",)


def test_only_what_is_lacking_is_looked_for() -> None:
    columns = ["Run", "params", "tokens", "mix_a", "mix_b", "loss.a"]
    assert meant(columns, ["run", "mix."]) == {"Run": "run", "mix_a": "mix.a", "mix_b": "mix.b"}
    assert not meant(columns, ["seed"]) and not misspelt(columns)
