"""Over the registry: a state in JSON restores the method to the bit, and any mixture can be the start."""

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from mixlaw.online import METHODS, Online
from mixlaw.online.base import Method
from mixlaw.online.doge import Influence
from mixlaw.online.doremi import Excess
from mixlaw.online.grape import Aligned, Alignment, Grape
from mixlaw.online.odm import Bandit, BatchLosses, Odm
from mixlaw.online.simplex import Array, uniform

START = np.array([0.6, 0.3, 0.1])
every_method = pytest.mark.parametrize("name", list(METHODS))


def begun(name: str, start: Array = START) -> Method[Any]:
    settings = METHODS[name]()
    return settings.begin(start, 2) if isinstance(settings, Grape) else settings.begin(start)


def moved(method: Method[Any], seed: int) -> Array:
    """An update of whatever kind the method takes, from signals of a seed."""
    generator = np.random.default_rng(seed)
    values, count = generator.random(3), len(method.weights)
    if isinstance(method, Bandit):
        return method.update(BatchLosses(4 * values, np.array([2.0, 0.0, 1.0])))
    if isinstance(method, Alignment):
        method.update_targets(2 + values[:2], Aligned(values[:2] - 0.5, np.ones(2), 1.0, 1e-3), 1e-3)
        return method.update(Aligned(values - 0.5, np.ones(count), 1.0, 1e-3))
    signals: Any = (
        Excess(10 * values, np.array([4.0, 2.0, 0.0]))
        if "scores" in method.state()
        else Influence(values - 0.5, np.ones(count), 1e-3)
    )
    return method.update(signals)


@every_method
def test_a_method_restored_from_json_goes_on_to_the_bit(name: str) -> None:
    whole, stopped = begun(name), begun(name)
    for seed in range(5):
        moved(whole, seed), moved(stopped, seed)
    again = begun(name, uniform(3))
    again.restore(json.loads(json.dumps(stopped.state())))
    for seed in range(5, 9):
        assert moved(again, seed).tobytes() == moved(whole, seed).tobytes()
    assert again.state() == whole.state()
    assert again.average.tobytes() == whole.average.tobytes()


@every_method
def test_a_method_starts_from_any_mixture_and_stays_on_the_simplex(name: str) -> None:
    method = begun(name)
    assert method.weights.tolist() == method.average.tolist() == START.tolist()
    path = [moved(method, seed).copy() for seed in range(30)]
    assert all(abs(weights.sum() - 1) < 1e-12 and (weights >= 0).all() for weights in path)
    np.testing.assert_allclose(method.average, np.mean(path, axis=0), rtol=1e-12)
    assert np.abs(path[0] - uniform(3)).max() > 0.01 or name == "odm"


@every_method
def test_the_settings_read_back_and_refuse_what_they_do_not_know(name: str) -> None:
    settings = TypeAdapter(Online)
    read = settings.validate_python({"method": name})
    assert isinstance(read, METHODS[name])
    assert settings.validate_python(read.model_dump(mode="json")) == read
    with pytest.raises(ValidationError):
        settings.validate_python({"method": name, "stepp": 1})


def test_a_bandit_follows_exp3_by_hand() -> None:
    method = Odm().begin(uniform(2))
    first = method.update(BatchLosses(np.array([5.0, 0.0]), np.array([1.0, 0.0])))
    assert first.tolist() == [0.5, 0.5], "at the first update everything is exploration"
    second = method.update(BatchLosses(np.array([5.0, 0.0]), np.array([1.0, 0.0])))
    rewards = 5.0 / 10 / 0.5 * 2
    explored = [0.5, math.sqrt(math.log(2) / 4)]
    share = 1 / (1 + math.exp(-0.5 * rewards))
    assert second[0] == pytest.approx((1 - 2 * explored[1]) * share + explored[1], rel=1e-12)


def test_a_bandit_leaves_an_absent_domain_as_it_was_and_still_explores_it() -> None:
    method = Odm().begin(uniform(3))
    for _ in range(200):
        method.update(BatchLosses(np.array([9.0, 1.0, 0.0]), np.array([3.0, 1.0, 0.0])))
    assert method.rewards[2] == 0.0
    assert method.weights[2] >= math.sqrt(math.log(3) / (3 * 200)) - 1e-12
    assert method.weights[0] > 0.5


def test_a_batch_rewards_a_bandit_as_the_mean_of_its_sequences_would() -> None:
    method = Odm().begin(np.array([0.75, 0.25]))
    method.update(BatchLosses(np.array([3 * 2.0, 1 * 2.0]), np.array([3.0, 1.0])))
    np.testing.assert_allclose(method.rewards, [0.2, 0.2], rtol=1e-12)
