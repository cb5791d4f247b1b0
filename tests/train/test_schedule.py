"""The rate of every step, and the average of the weights along a constant one."""

import math
from itertools import pairwise

import pytest
import torch

from mixlaw.mixture import Mixture
from mixlaw.plan import Training
from mixlaw.train.averaging import SHARPNESS, take_in
from mixlaw.train.members import Member
from mixlaw.train.schedule import learning_rate, peak_rate, warmup_steps


def rates(training: Training, steps: int = 1000, width: int = 64) -> list[float]:
    rising = warmup_steps(training, steps)
    return [learning_rate(step, steps, rising, training, width) for step in range(1, steps + 1)]


def rising(schedule: str, *, full: bool) -> int:
    member = Member("a", "a", Mixture(("web",), (1.0,)), "0.1M", (25_600, 51_200, 102_400), 0, full=full)
    return member.rising(Training(batch_tokens=256, sequence_length=64, warmup=0.1, schedule=schedule))


def test_the_rate_rises_in_a_line_to_the_peak_and_a_constant_one_stays_there() -> None:
    found = rates(Training(learning_rate=1e-2, warmup=0.1))
    assert found[0] == pytest.approx(1e-4)
    assert found[49] == pytest.approx(5e-3)
    assert found[99:] == [1e-2] * 901


def test_a_proxy_warms_up_for_its_first_read_out_and_what_counts_at_its_end_for_the_whole_run() -> None:
    assert rising("constant", full=False) == 10
    assert rising("constant", full=True) == 40
    assert rising("wsd", full=False) == 40


def test_wsd_stays_at_the_peak_until_its_decay_and_ends_near_nothing() -> None:
    found = rates(Training(learning_rate=1e-2, warmup=0.1, schedule="wsd", decay=0.2))
    assert found[99:800] == [1e-2] * 701
    assert found[850] == pytest.approx(1e-2 * (1 - math.sqrt(50 / 200)))
    assert 0 < found[-1] < 1e-4
    assert all(later < earlier for earlier, later in pairwise(found[800:]))


def test_a_cosine_ends_at_a_tenth_of_the_peak_and_passes_its_mean_half_way() -> None:
    found = rates(Training(learning_rate=1e-2, warmup=0.0, schedule="cosine"), 1001)
    assert found[-1] == pytest.approx(1e-3)
    assert found[500] == pytest.approx(5.5e-3, rel=1e-2)


def test_an_inverse_square_root_is_continuous_where_it_begins_cools_and_ends() -> None:
    plain = rates(Training(learning_rate=1e-2, warmup=0.1, schedule="inverse-sqrt"))
    assert plain[99] == 1e-2
    assert plain[399] == pytest.approx(5e-3) and plain[899] == pytest.approx(1e-2 / 3)
    found = rates(Training(learning_rate=1e-2, warmup=0.1, schedule="inverse-sqrt", cooldown=0.2))
    assert found[:800] == plain[:800]
    assert found[899] == pytest.approx(plain[799] / 2) and found[999] == 0
    assert max(abs(later - earlier) for earlier, later in pairwise(found)) < 1.01e-4


def test_the_rate_is_inverse_to_the_width() -> None:
    training = Training(learning_rate=4e-3)
    assert peak_rate(training, 64) == 4e-3
    assert peak_rate(training, 256) == 1e-3


def test_the_average_weighs_a_step_by_a_power_of_its_place_in_the_run() -> None:
    steps = 400
    path = torch.eye(steps, dtype=torch.float64)
    average = torch.full((1, steps), 1e3, dtype=torch.float64)
    for step in range(1, steps + 1):
        take_in([average], [path[step - 1 : step]], step)
    weights = average[0]
    rising = [math.comb(step + SHARPNESS - 1, SHARPNESS) for step in range(1, steps + 1)]
    expected = torch.tensor([count / sum(rising) for count in rising], dtype=torch.float64)
    assert torch.allclose(weights, expected, rtol=1e-10, atol=0)
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("steps", [50, 500, 2000])
def test_the_average_spans_the_same_share_of_the_run_at_every_read_out(steps: int) -> None:
    average = torch.zeros(1, 1, dtype=torch.float64)
    for step in range(1, steps + 1):
        take_in([average], [torch.full((1, 1), float(step), dtype=torch.float64)], step)
    age = (steps - average.item()) / steps
    assert age == pytest.approx(1 / (SHARPNESS + 2), rel=0.05)
