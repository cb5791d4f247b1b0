"""The design of RegMix."""

import numpy as np
import pytest

from mixlaw.design import sample, spread
from mixlaw.design.natural import AroundNatural
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture

DOMAINS = tuple(f"d{number}" for number in range(8))
NATURAL = Mixture.natural({domain: 2.0**-number for number, domain in enumerate(DOMAINS)})


def drawn(count: int) -> np.ndarray:
    mixtures = sample(DOMAINS, count, method="natural", natural=NATURAL)
    return np.array([mixture.proportions for mixture in mixtures.values()])[2:]


def test_no_domain_passes_fifteen_times_its_natural_proportion() -> None:
    ratio = drawn(80) / np.array(NATURAL.proportions)
    assert 10 < ratio.max() <= 15 + 0.05


def test_the_average_is_the_tempered_natural_mixture() -> None:
    even = Mixture.uniform(DOMAINS[:4])
    limits, random = Limits.simplex(DOMAINS[:4]), np.random.default_rng(0)
    natural = np.array(Mixture.natural(dict(zip(DOMAINS, [8.0, 4.0, 2.0, 2.0], strict=False))).proportions)
    rows = np.array([AroundNatural(largest=100).propose(limits, natural, [], random) for _ in range(3000)])
    assert rows.mean(axis=0) == pytest.approx(np.sqrt(natural) / np.sqrt(natural).sum(), abs=0.02)
    assert not np.allclose(rows.mean(axis=0), even.proportions, atol=0.05)


def test_a_domain_without_tokens_is_never_drawn() -> None:
    natural = Mixture.natural({"a": 5, "b": 5, "c": 0})
    mixtures = sample(("a", "b", "c"), 12, method="natural", natural=natural)
    assert all(mixture.as_dict()["c"] == 0 for name, mixture in mixtures.items() if name.startswith("m"))


def test_its_small_domains_are_warned_about_and_the_default_design_has_none() -> None:
    natural = sample(DOMAINS, 40, method="natural", natural=NATURAL)
    default = sample(DOMAINS, 40, natural=NATURAL)
    described = [spread(np.array([m.proportions for m in found.values()]), DOMAINS) for found in (natural, default)]
    assert "'d7'" in described[0].warnings[0] and "less than 0.1" in described[0].warnings[0]
    assert not described[1].warnings


def test_a_natural_mixture_that_rejects_every_draw_is_refused() -> None:
    narrow = AroundNatural(largest=0.5)
    with pytest.raises(Refused, match="choose another design"):
        narrow.propose(Limits.simplex(["a", "b"]), np.array([0.5, 0.5]), [], np.random.default_rng(0))
