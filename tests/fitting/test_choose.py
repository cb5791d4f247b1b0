"""Laws are chosen by mixtures they were not fitted to."""

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.choose import Candidate, _simplest, choose, folds_of, held_out
from mixlaw.laws import LAWS

DOMAINS, TARGETS = ("books", "code", "web"), ("code", "web")
NAMES = (DOMAINS, TARGETS)


def exponential_runs(count: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    proportions = generator.dirichlet(np.full(3, 0.5), count)
    slopes = np.array([[0.2, -4.0, 0.5], [-1.0, 0.3, -3.0]])
    return proportions, 1.5 + np.exp(proportions @ slopes.T) + noise * generator.standard_normal((count, 2))


@pytest.mark.parametrize(("mixtures", "folds"), [(4, 4), (25, 10), (99, 10), (100, 5)])
def test_a_mixture_is_in_one_fold_and_folds_are_even(mixtures: int, folds: int) -> None:
    groups = np.tile(np.arange(mixtures), 3)
    found = folds_of(groups)
    assert len(np.unique(found)) == folds
    for mixture in range(mixtures):
        assert len(set(found[groups == mixture])) == 1
    sizes = np.bincount(found[:mixtures])
    assert sizes.max() - sizes.min() <= 1


def test_predictions_of_a_run_do_not_depend_on_its_own_loss() -> None:
    proportions, losses = exponential_runs(12, 0.01)
    folds = folds_of(np.arange(12))
    before = held_out(LAWS["exponential"], NAMES, (proportions, losses), folds)
    changed = losses.copy()
    changed[3] += 1.0
    after = held_out(LAWS["exponential"], NAMES, (proportions, changed), folds)
    np.testing.assert_array_equal(after[folds == folds[3]], before[folds == folds[3]])
    assert np.abs(after - before).max() > 1e-3


def test_the_law_that_made_the_losses_is_chosen_when_others_cannot_follow() -> None:
    runs = exponential_runs(40, 0.005)
    kind, candidates = choose(NAMES, runs, np.arange(40), ["linear", "exponential"])
    assert kind == "exponential"
    assert [candidate.kind for candidate in candidates] == ["exponential", "linear"]
    behind = candidates[1]
    assert behind.behind is not None and behind.doubt is not None and behind.behind > behind.doubt
    assert candidates[0].behind == 0 and len(candidates[0].rmse) == 2


def test_of_laws_that_cannot_be_told_apart_the_simpler_is_chosen() -> None:
    generator = np.random.default_rng(1)
    proportions = generator.dirichlet(np.ones(3), 30)
    losses = 2 + proportions @ np.array([[0.1, 0.4], [0.5, 0.2], [0.3, 0.1]])
    losses = losses + 0.03 * generator.standard_normal(losses.shape)
    kind, _ = choose(NAMES, (proportions, losses), np.arange(30), ["exponential", "linear"])
    assert kind == "linear"


def test_the_order_of_candidates_does_not_matter() -> None:
    runs = exponential_runs(24, 0.05)
    forth = choose(NAMES, runs, np.arange(24), ["linear", "exponential"])
    assert forth == choose(NAMES, runs, np.arange(24), ["exponential", "linear"])


def test_a_law_that_refuses_is_listed_with_its_reason_and_all_refusing_is_refused() -> None:
    proportions, losses = exponential_runs(12, 0.01)
    losses[2:, 0] = np.nan
    with pytest.raises(Refused, match="code"):
        choose(NAMES, (proportions, losses), np.arange(12), ["exponential"])


def ranked(**laws: tuple[int, bool, list[float]]) -> tuple[list[Candidate], dict[str, np.ndarray]]:
    """Candidates by their parameters, whether they are convex, and their squared errors on each mixture."""
    scores = {kind: np.array(errors) for kind, (_, _, errors) in laws.items()}
    found = [Candidate(kind, laws[kind][0], laws[kind][1], float(scores[kind].mean()), 0, 0, ()) for kind in laws]
    return sorted(found, key=lambda candidate: candidate.score or 0), scores


def test_a_convex_law_is_taken_unless_it_is_clearly_behind_one_that_is_not() -> None:
    bent = (4, False, [1.0, 2.0, 3.0, 4.0])
    near, far = (8, True, [1.9, 1.9, 3.9, 3.9]), (8, True, [1.9, 2.8, 3.9, 4.9])
    assert _simplest(*ranked(bent=bent, convex=near)).kind == "convex"
    assert _simplest(*ranked(bent=bent, convex=far)).kind == "bent"


def test_a_simpler_convex_law_is_held_against_the_best_convex_one() -> None:
    bent, best = (4, False, [1.0, 2.0, 3.0, 4.0]), (8, True, [1.9, 1.9, 3.9, 3.9])
    simple = (3, True, [3.4, 2.0, 4.4, 4.0])  # 1.6 standard errors behind the bent law, 1.7 behind the best convex one
    assert _simplest(*ranked(bent=bent, best=best, simple=simple)).kind == "best"
    assert _simplest(*ranked(bent=bent, best=best, simple=(3, True, [1.0, 2.4, 4.6, 3.9]))).kind == "simple"
