"""DoReMi's weights: closed forms, the minimax point, and what the published code gets wrong."""

import numpy as np
import pytest

from mixlaw.online.doremi import Doremi, Excess, GroupDro, domain_factors, settled
from mixlaw.online.simplex import Array, by_domain, uniform


def begun(count: int, **settings: float) -> GroupDro:
    return Doremi(**settings).begin(uniform(count))


def excess(scores: list[float], tokens: float = 10.0) -> Excess:
    return Excess(np.array(scores) * tokens, np.full(len(scores), tokens))


def test_one_step_is_the_exponentiated_one_and_then_smoothed() -> None:
    np.testing.assert_allclose(begun(2, smoothing=0.0).update(excess([0.5, 0])), [0.62245933, 0.37754067], atol=5e-9)
    np.testing.assert_allclose(begun(2).update(excess([0.5, 0.0])), [0.62233687, 0.37766313], atol=5e-9)


def test_a_constant_excess_gives_powers_and_their_average_the_mean_of_a_logistic() -> None:
    method, steps = begun(2, smoothing=0.0), 40
    for _ in range(steps):
        method.update(excess([0.3, 0.1]))
    assert method.weights[0] == pytest.approx(1 / (1 + np.exp(-0.2 * steps)), rel=1e-12)
    logistic = 1 / (1 + np.exp(-0.2 * np.arange(1, steps + 1)))
    assert method.average[0] == pytest.approx(logistic.mean(), rel=1e-12)


def test_without_excess_the_weights_decay_to_uniform_at_the_rate_of_the_smoothing() -> None:
    method = Doremi(smoothing=0.1).begin(np.array([0.9, 0.1]))
    for step in range(1, 20):
        assert method.update(excess([0.0, 0.0]))[0] - 0.5 == pytest.approx(0.4 * 0.9**step, rel=1e-10)


def test_a_domain_with_longer_documents_has_the_same_score() -> None:
    short, long = begun(2), begun(2)
    short.update(Excess(np.array([2.0, 3.0]), np.array([10.0, 10.0])))
    long.update(Excess(np.array([4.0, 3.0]), np.array([20.0, 10.0])))
    np.testing.assert_allclose(short.weights, long.weights, rtol=1e-15)


def test_a_domain_absent_from_the_first_batches_is_not_lifted_to_all_of_the_mixture() -> None:
    """The published code starts unseen scores at ln(vocabulary), about 10.8: one step would give such a domain 0.99."""
    method = begun(3)
    absent = Excess(np.array([1.0, 2.0, 0.0]), np.array([10.0, 10.0, 0.0]))
    assert method.update(absent)[2] < 1 / 3
    assert np.isfinite(method.weights).all()


def test_an_absent_domain_keeps_the_score_it_had_when_it_was_last_seen() -> None:
    kept, seen = begun(2), begun(2)
    for method in (kept, seen):
        method.update(excess([0.1, 0.6]))
    kept.update(Excess(np.array([1.0, 0.0]), np.array([10.0, 0.0])))
    seen.update(excess([0.1, 0.6]))
    np.testing.assert_allclose(kept.weights, seen.weights, rtol=1e-15)


def test_a_domain_weighs_what_it_has_however_many_sequences_of_it_there_are() -> None:
    """The pooled loss of the published code would weigh a domain by its count of tokens as well."""
    domains, losses = np.array([0, 0, 0, 1]), np.array([1.0, 2.0, 3.0, 7.0])
    factors = domain_factors(np.array([0.5, 0.5]), by_domain(losses, domains, 2)[1])
    assert (factors[domains] * losses).sum() == pytest.approx(0.5 * 2 + 0.5 * 7)
    assert domain_factors(np.array([0.5, 0.5]), np.array([4.0, 0.0])).tolist() == [0.125, 0.0]


def test_the_proxy_comes_to_rest_at_the_minimax_point_of_convex_domains() -> None:
    """Losses |x - m_i|^2 + b_i over x: the worst excess is least at the centre of the smallest circle, (1, 0)."""
    places = np.array([[0.0, 0.0], [2.0, 0.0], [1.2, 0.4]])
    method, point, rate = begun(3, step=0.05, smoothing=0.0), np.array([0.3, 0.9]), 0.05
    path: list[Array] = []
    for _ in range(6000):
        losses = np.square(point - places).sum(1)
        weights = method.update(Excess(losses, np.ones(3)))
        point = point - rate * 2 * (weights[:, None] * (point - places)).sum(0)
        path.append(point)
    np.testing.assert_allclose(np.mean(path[3000:], axis=0), [1.0, 0.0], atol=5e-3)
    np.testing.assert_allclose(method.weights, [0.5, 0.5, 0.0], atol=5e-2)


def test_permuting_the_domains_permutes_the_weights() -> None:
    order = [2, 0, 1]
    ours, theirs = begun(3), begun(3)
    for scores in ([0.1, 0.5, 0.2], [0.4, 0.0, 0.3]):
        ours.update(excess(scores))
        theirs.update(excess([scores[place] for place in order]))
    np.testing.assert_allclose(ours.weights[order], theirs.weights, rtol=1e-14)


def test_rounds_end_once_no_weight_moves_by_more_than_the_tolerance() -> None:
    before = np.array([0.2, 0.3, 0.5])
    assert settled(before, np.array([0.2009, 0.2995, 0.4996]), 1e-3)
    assert not settled(before, np.array([0.2011, 0.2994, 0.4995]), 1e-3)
