"""Claims about full runs: only what exceeds the noise between seeds is called better."""

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.outcome import Outcome, outcomes, seed_noise, verdicts
from mixlaw.runs import check_runs


def outcome(name: str, predicted: float, *measured: float) -> Outcome:
    return Outcome(name, predicted, predicted - 0.1, predicted + 0.1, measured, {})


def test_a_gain_beyond_the_noise_is_claimed_and_one_within_it_is_not() -> None:
    found = [
        outcome("optimum", 2.0, 2.00, 2.01),
        outcome("natural", 2.2, 2.20, 2.21),
        outcome("uniform", 2.1, 2.01, 2.02),
    ]
    said = verdicts(found)
    assert said[0].startswith("optimum is better than natural: +0.2000")
    assert said[1].startswith("optimum cannot be told from uniform")


def test_a_chosen_mixture_that_lost_is_called_worse() -> None:
    found = [outcome("optimum", 2.0, 2.30, 2.31), outcome("natural", 2.2, 2.20, 2.21)]
    assert "WORSE" in verdicts(found)[0]


def test_without_repeats_nothing_is_claimed() -> None:
    said = verdicts([outcome("optimum", 2.0, 2.0), outcome("natural", 2.2, 2.2), outcome("uniform", 2.1, 1.9)])
    assert "0.2000 nats better than natural" in said[0] and "0.1000 nats worse than uniform" in said[1]
    assert all("nothing is claimed" in each for each in said)


def test_seed_noise_is_pooled_over_mixtures() -> None:
    noise, freedom = seed_noise([outcome("a", 0, 1.0, 1.2), outcome("b", 0, 2.0, 2.4)])
    assert freedom == 2 and noise == pytest.approx(np.sqrt((0.02 + 0.08) / 2))


def test_the_claim_holds_its_level_when_nothing_differs() -> None:
    generator = np.random.default_rng(0)
    draws = generator.standard_normal((2000, 3, 2))
    claims = [
        verdicts(
            [
                outcome(name, 0, *map(float, row))
                for name, row in zip(("optimum", "natural", "uniform"), draw, strict=True)
            ]
        )[0]
        for draw in draws
    ]
    wrong = np.mean(["cannot be told" not in claim for claim in claims])
    assert 0.08 < wrong < 0.12


def test_predictions_and_runs_are_joined_by_name() -> None:
    predictions = pd.DataFrame(
        [
            (name, target, value, value - 0.1, value + 0.1)
            for name, value in (("b", 2.0), ("a", 1.0))
            for target in ("x", "(weighted)")
        ],
        columns=["mixture", "target", "loss", "low", "high"],
    )
    rows = [
        {"run": n, "group": n, "params": 1, "tokens": 1, "mix.d": 1.0, "loss.x": v}
        for n, v in (("a", 1.05), ("b", 2.5))
    ]
    first, second = outcomes(predictions, check_runs(pd.DataFrame(rows)), None)
    assert (first.name, first.predicted, first.mean, first.inside) == ("a", 1.0, 1.05, True)
    assert (second.name, second.predicted, second.inside) == ("b", 2.0, False)
    with pytest.raises(Refused, match="'b' was trained but not predicted"):
        outcomes(predictions[predictions["mixture"] == "a"], check_runs(pd.DataFrame(rows)), None)
