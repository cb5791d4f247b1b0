"""The order of sequences follows its mixture at every prefix, and is a function of (mixture, seed, position)."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixlaw.corpus.order import WHOLE, Order, permutation
from mixlaw.errors import Refused

GOLDEN = (
    [0, 2, 9, 1, 8, 5, 4, 3, 6, 7],
    [7, 2, 3, 1, 5, 6, 0, 4, 9, 8],
)

thorough = settings(max_examples=60, deadline=None)


@st.composite
def mixtures(draw: st.DrawFn, smallest: int = 1, largest: int = 30) -> NDArray[np.float64]:
    """Proportions from even to steep, some of them zero."""
    count = draw(st.integers(smallest, largest))
    exponents = draw(st.lists(st.floats(-6, 0), min_size=count, max_size=count))
    zeros = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    values = np.where(zeros, 0.0, 10.0 ** np.array(exponents))
    values[draw(st.integers(0, count - 1))] += 0.5
    return values / values.sum()


def order_of(proportions: NDArray[np.float64], sequences: int = 7, seed: int = 0) -> Order:
    return Order(proportions, np.full(len(proportions), sequences), seed)


def prefix_counts(domains: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(positions, M), how many of each domain every prefix holds."""
    return np.cumsum(domains[:, None] == np.arange(count), axis=0)


def chairman(proportions: NDArray[np.float64], length: int) -> list[int]:
    """Tijdeman's assignment by its definition: every state looked at, at every step, in rational numbers."""
    shares = [Fraction(round(float(p) * WHOLE), WHOLE) for p in proportions]
    margin = Fraction(1, max(2, 2 * (len(shares) - 1)))
    margin = Fraction(int(margin * WHOLE), WHOLE)
    owed, chosen = [Fraction(0)] * len(shares), []
    for _ in range(length):
        owed = [credit + share for credit, share in zip(owed, shares, strict=True)]
        waits = {j: (1 - margin - owed[j]) // shares[j] for j in range(len(shares)) if shares[j] and owed[j] >= margin}
        chosen.append(min(waits, key=lambda j: (waits[j], j)))
        owed[chosen[-1]] -= 1
    return chosen


@thorough
@given(mixtures(), st.integers(1, 600))
def test_every_prefix_is_within_tijdemans_bound_of_the_mixture(proportions: NDArray[np.float64], length: int) -> None:
    domains, _ = order_of(proportions).take(length)
    owed = np.arange(1, length + 1)[:, None] * proportions
    distance = np.abs(prefix_counts(domains, len(proportions)) - owed).max()
    assert distance <= 1 - 1 / max(2, 2 * (len(proportions) - 1)) + 1e-9


def test_every_prefix_is_within_one_sequence_of_a_mixture_of_a_hundred_domains() -> None:
    proportions = np.random.default_rng(0).dirichlet(np.full(100, 0.3))
    domains, _ = order_of(proportions).take(20_000)
    owed = np.arange(1, 20_001)[:, None] * proportions
    assert np.abs(prefix_counts(domains, 100) - owed).max() < 1


def test_random_draws_are_far_from_within_one_sequence() -> None:
    """The bound says something: draws at random break it a hundredfold."""
    proportions = np.random.default_rng(0).dirichlet(np.ones(5))
    domains = np.random.default_rng(1).choice(5, size=20_000, p=proportions)
    owed = np.arange(1, 20_001)[:, None] * proportions
    assert np.abs(prefix_counts(domains, 5) - owed).max() > 30


@settings(max_examples=25, deadline=None)
@given(mixtures(largest=8))
def test_the_schedule_is_the_chairman_assignment_by_definition(proportions: NDArray[np.float64]) -> None:
    order = order_of(proportions)
    domains, _ = order.take(150)
    assert domains.tolist() == chairman(order.proportions, 150)


@thorough
@given(mixtures())
def test_a_domain_of_proportion_zero_is_never_drawn(proportions: NDArray[np.float64]) -> None:
    order = Order(proportions, np.where(proportions > 0, 5, 0), 0)
    domains, _ = order.take(300)
    assert (proportions[domains] > 0).all()


@thorough
@given(mixtures(), st.integers(0, 400), st.integers(0, 2**64 - 1))
def test_an_order_resumed_at_any_position_goes_on_as_if_never_stopped(
    proportions: NDArray[np.float64], position: int, seed: int
) -> None:
    walked = order_of(proportions, seed=seed)
    walked.take(position)
    resumed = Order.resume(json.loads(json.dumps(walked.state())))
    for ours, theirs in zip(walked.take(200), resumed.take(200), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert resumed.state() == walked.state() and resumed.position == position + 200


@thorough
@given(mixtures(), st.lists(st.integers(0, 60), max_size=8))
def test_how_the_run_is_cut_into_batches_changes_nothing(proportions: NDArray[np.float64], batches: list[int]) -> None:
    cut, skipped, whole = (order_of(proportions) for _ in range(3))
    taken = [cut.take(count) for count in batches] + [cut.take(1)]
    domains, sequences = whole.take(sum(batches) + 1)
    np.testing.assert_array_equal(np.concatenate([part[0] for part in taken]), domains)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in taken]), sequences)
    for count in batches:
        skipped.skip(count)
    last = skipped.take(1)
    assert (last[0][0], last[1][0]) == (domains[-1], sequences[-1])
    assert skipped.state() == whole.state()


@thorough
@given(mixtures(), st.integers(0, 300))
def test_setting_the_same_mixture_again_changes_nothing(proportions: NDArray[np.float64], position: int) -> None:
    """A switch after a fraction f = 1 of the run, or to the same mixture, is an uninterrupted run."""
    plain, switched = order_of(proportions), order_of(proportions)
    plain.skip(position)
    switched.skip(position)
    switched.set_mixture(proportions)
    np.testing.assert_array_equal(plain.take(200), switched.take(200))


@thorough
@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_a_mixture_that_keeps_changing_is_followed_within_the_harmonic_bound(count: int, seed: int) -> None:
    """Against a mixture that favours whatever is owed most, which is the worst there is."""
    random = np.random.default_rng(seed)
    order, owed = order_of(np.ones(count)), np.zeros(count)
    for _ in range(60):
        credit = order.credit
        favoured = credit >= np.quantile(credit, random.uniform(0, 1))
        order.set_mixture(np.where(favoured, 1.0, random.uniform(0, 0.1, count) + 1e-9))
        steps = int(random.integers(1, 4))
        order.take(steps)
        owed += steps * order.proportions
        np.testing.assert_allclose(order.credit, owed - order.counts, atol=1e-9)
        assert order.credit.min() > -1 and order.credit.max() < sum(1 / k for k in range(1, count + 1))


def test_of_domains_that_are_all_late_the_one_owed_most_comes_first() -> None:
    """Serving the longest late instead would let a domain of nearly all the mixture wait for seven of nearly none."""
    order, waiting = order_of(np.ones(32)), np.ones(32)
    while waiting.sum() > 8:
        order.set_mixture(waiting + 1e-9)
        waiting[order.take(1)[0]] = 0
    late = np.flatnonzero(waiting)
    assert order.credit[late].min() > 1
    order.set_mixture(1e-6 + (np.arange(32) == late[0]))
    for _ in range(32):
        order.take(1)
        assert order.credit.max() < 2


@thorough
@given(st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_domains_that_come_and_go_are_drawn_only_while_they_have_a_proportion(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    order = order_of(np.ones(count))
    for _ in range(40):
        proportions = random.dirichlet(np.ones(count)) * (random.random(count) < 0.4)
        proportions[random.integers(count)] += 0.1
        order.set_mixture(proportions)
        domains, _ = order.take(int(random.integers(1, 20)))
        assert (proportions[domains] > 0).all()
    assert abs(order.credit.sum()) < 1e-9 and order.counts.sum() == order.position


def test_upsampling_at_the_end_gives_each_group_its_published_tokens() -> None:
    """Blakeney et al. 2024 (2406.03476): 1T tokens, the last 20% on another mixture; one sequence stands for 1B."""
    base = np.array([343.5, 367.0, 71.7, 217.8])
    upsampled = np.array([0.0, 60.0, 70.0, 70.0])
    order = order_of(base / base.sum())
    order.take(800)
    order.set_mixture(upsampled / upsampled.sum())
    order.take(200)
    assert np.abs(order.counts - (0.8 * base + upsampled)).max() < 1
    np.testing.assert_allclose((0.8 * base + upsampled)[2], 127.36)


def test_every_epoch_reads_every_sequence_once_in_an_order_of_its_own() -> None:
    order = Order([0.5, 0.5], [40, 60], seed=3)
    domains, sequences = order.take(480)
    for domain, length in ((0, 40), (1, 60)):
        epochs = sequences[domains == domain].reshape(-1, length)
        assert (np.sort(epochs) == np.arange(length)).all()
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs)
    np.testing.assert_array_equal(order.epochs, [6.0, 4.0])
    np.testing.assert_array_equal(order.realised, [0.5, 0.5])


def test_seeds_and_domains_have_orders_of_their_own() -> None:
    orders = {tuple(permutation(50, seed, domain, 0)) for seed in range(5) for domain in range(5)}
    assert len(orders) == 25


def test_the_first_permutations_are_what_they_have_always_been() -> None:
    """A run that is resumed after an upgrade must read what it would have read; this list may never change."""
    assert permutation(10, 0, 0, 0).tolist() == GOLDEN[0]
    assert permutation(10, 2**64 - 1, 3, 7).tolist() == GOLDEN[1]


def test_every_permutation_of_three_is_about_as_frequent() -> None:
    drawn = [tuple(permutation(3, seed, 0, epoch)) for seed in range(60) for epoch in range(20)]
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 6 and counts.min() > 150 and counts.max() < 250


@pytest.mark.parametrize(
    ("proportions", "sequences", "seed", "message"),
    [
        ([0.5, 0.5], [3], 0, "needs as many proportions"),
        ([0.5, -0.5], [3, 3], 0, "at least 0"),
        ([0.5, float("nan")], [3, 3], 0, "at least 0"),
        ([0.0, 0.0], [3, 3], 0, "one of them positive"),
        ([0.5, 0.5], [3, 0], 0, "domain 1 has proportion 0.5 and no sequence"),
        ([0.5, 0.5], [3, -1], 0, "one sequence count of at least 0"),
        ([1.0], [3], -1, "seed"),
        ([], [], 0, "one sequence count"),
    ],
)
def test_an_order_that_cannot_be_is_refused(
    proportions: list[float], sequences: list[int], seed: int, message: str
) -> None:
    with pytest.raises(Refused, match=message):
        Order(proportions, sequences, seed)
