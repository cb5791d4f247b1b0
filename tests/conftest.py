"""Where tests find published runs, and a run table of a known law."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from mixlaw.corpus.build import build_corpus

settings.register_profile("on a busy machine too", deadline=None)  # else a test fails that is kept waiting for 0.2 s
settings.load_profile("on a busy machine too")

REFERENCE = Path(os.environ.get("MIXLAW_REFERENCE", Path(__file__).parents[2] / "shared" / "reference"))


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of published run tables; the test is skipped where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip(f"published runs are not at {REFERENCE}; set MIXLAW_REFERENCE to their folder")
    return REFERENCE


@pytest.fixture(scope="session")
def planted() -> Callable[..., pd.DataFrame]:
    """Makes a run table of exponential mixing laws with irreducible, size and token terms, and noise if asked."""

    def make(
        runs: int = 24, noise: float = 0.0, seed: int = 0, scales: tuple[tuple[int, int], ...] = ()
    ) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        domains, targets = ("web", "code", "books"), ("web", "code")
        slopes = np.array([[-1.0, 0.2, -0.4], [0.3, -2.0, 0.1]])
        rows = []
        for number in range(runs):
            mixture = generator.dirichlet(np.full(len(domains), 0.7))
            for params, tokens in scales or ((1_000_000, 10_000_000),):
                losses = 1.5 + np.exp(slopes @ mixture) + 20 * params**-0.3 + 50 * tokens**-0.3
                losses = losses + noise * generator.standard_normal(len(targets))
                rows.append(
                    {"run": f"{params}-{number}", "params": params, "tokens": tokens}
                    | {f"mix.{name}": value for name, value in zip(domains, mixture, strict=True)}
                    | {f"loss.{name}": value for name, value in zip(targets, losses, strict=True)}
                )
        return pd.DataFrame(rows)

    return make


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of three small domains that differ in their letters, in bytes (vocabulary 257)."""
    generator = np.random.default_rng(0)
    letters = {"prose": "aeiou dlmnrst.", "digits": "0123456789,;", "marks": "<>/=abc"}

    def documents(alphabet: str) -> list[str]:
        words = ["".join(generator.choice(list(alphabet), size=generator.integers(2, 6))) for _ in range(12)]
        return [" ".join(generator.choice(words, size=200)) + str(number) for number in range(60)]

    out = tmp_path_factory.mktemp("tiny") / "corpus"
    build_corpus(out, {name: documents(alphabet) for name, alphabet in letters.items()}, tokenizer=256)
    return out
