"""How far mixtures may differ in what tokens bring them: as far as the runs show."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from mixlaw.laws import LAWS
from mixlaw.mixture import Array
from mixlaw.runs import check_runs
from mixlaw.surfaces.pooled import Pooled

SIZES, TOKENS = (3e4, 1e5), (5e4, 1e5, 2e5)
MIXED = np.random.default_rng(0).dirichlet(np.full(3, 0.6), 24)


def losses(apart: float, params: float, tokens: float) -> Array:
    """(24, 1) one target; what a mixture gains from tokens differs by `apart` nats from domain to domain."""
    n, s = (params / 1e5) ** -0.25, (tokens / 2e5) ** -0.6
    gained = apart * MIXED @ np.array([[1.0], [0.0], [-0.5]])
    return 3.0 + MIXED @ np.array([[0.5], [1.0], [1.5]]) + 0.3 * n + (0.4 + gained) * s


def carried(apart: float, noise: float) -> Array:
    """(24, 1) errors at four times the tokens, what all mixtures share of them taken away."""
    random, rows = np.random.default_rng(1), []
    for params, tokens in product(SIZES, TOKENS):
        measured = losses(apart, params, tokens) + noise * random.standard_normal((24, 1))
        rows += [
            {"run": f"{params:g}-{number}", "params": params, "tokens": tokens, "loss.x": measured[number, 0]}
            | {f"mix.{name}": value for name, value in zip("abc", MIXED[number], strict=True)}
            for number in range(24)
        ]
    surface = Pooled.carry_from(check_runs(pd.DataFrame(rows)), LAWS["linear"])
    order = [int(np.abs(MIXED - mixture).sum(axis=1).argmin()) for mixture in surface.proportions]
    errors = surface.losses_at(1e5, 8e5) - losses(apart, 1e5, 8e5)[order]
    return errors - errors.mean()


@pytest.mark.parametrize("apart", [0.0, 0.05, 2.0])
def test_mixtures_keep_the_differences_that_tokens_bring_them(apart: float) -> None:
    """Within the noise of a checkpoint, though they differ by nothing, by less than that noise, or by nats."""
    assert np.sqrt((carried(apart, noise=0.05) ** 2).mean()) < 0.06


def test_mixtures_that_fall_alike_are_not_set_apart_by_noise() -> None:
    """Ten times the noise, and no more than that noise is carried on."""
    assert np.sqrt((carried(0.0, noise=0.1) ** 2).mean()) < 0.1
