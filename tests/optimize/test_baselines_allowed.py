"""A baseline counts as allowed only where every limit of the question holds for it."""

from collections.abc import Callable

import pandas as pd
import pytest

import mixlaw
from mixlaw.mixture import Mixture
from mixlaw.runs import check_runs


@pytest.fixture(scope="module")
def law(planted: Callable[..., pd.DataFrame]) -> mixlaw.Law:
    return mixlaw.fit(check_runs(planted(runs=24, noise=0.005)), "exponential")


def test_a_baseline_above_a_limit_on_a_loss_is_not_allowed(law: mixlaw.Law) -> None:
    free = mixlaw.optimize(law, weights={"web": 0, "code": 1})
    uniform = Mixture.uniform(law.domains)
    loss = law.predict([uniform]).set_index("target")["loss"]["web"]
    assert free.baselines["uniform"].allowed
    tight = mixlaw.optimize(law, weights={"web": 0, "code": 1}, at_most={"web": loss - 0.01})
    wide = mixlaw.optimize(law, weights={"web": 0, "code": 1}, at_most={"web": loss + 0.01})
    assert not tight.baselines["uniform"].allowed and wide.baselines["uniform"].allowed
    assert not any("the uniform mixture with probability" in warning for warning in tight.warnings)


def test_a_baseline_far_from_the_prior_is_not_allowed(law: mixlaw.Law) -> None:
    prior = Mixture.of({"web": 0.8, "code": 0.1, "books": 0.1})
    near = mixlaw.optimize(law, prior=prior, within_kl=0.01)
    assert not near.baselines["uniform"].allowed
    assert mixlaw.optimize(law, prior=Mixture.uniform(law.domains), within_kl=0.01).baselines["uniform"].allowed
