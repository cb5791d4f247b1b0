"""Random programs, hard to get right: caps, floors, rows, divergence, worst case, steep and flat laws."""

from dataclasses import replace

import numpy as np

from mixlaw.laws.base import MixingLaw
from mixlaw.laws.exponential import Exponential
from mixlaw.laws.reciprocal import Reciprocal
from mixlaw.limits import Limits
from mixlaw.mixture import Array
from mixlaw.optimize.program import Program
from mixlaw.optimize.worst_case import worst_case

STEEPEST = 4.0
"""Log of the largest reducible loss, e^4 = 55 nats per token: losses beyond would hide a gap of 1e-9 in rounding."""


def random_law(random: np.random.Generator, domains: int, targets: int) -> MixingLaw:
    """An exponential or a reciprocal law, from nearly linear to steep."""
    make = random_exponential if random.random() < 0.5 else random_reciprocal
    return make(random, tuple(f"d{j}" for j in range(domains)), tuple(f"t{v}" for v in range(targets)))


def random_exponential(random: np.random.Generator, domains: tuple[str, ...], targets: tuple[str, ...]) -> Exponential:
    """Exponents of either sign, all of one steepness."""
    steepness, shape = float(random.choice([0.3, 1.0, 3.0, 8.0])), (len(targets), len(domains))
    exponents = np.minimum(random.normal(random.normal(), steepness, shape), STEEPEST)
    return exponential_law(domains, targets, random.uniform(1, 3, len(targets)), exponents)


def exponential_law(
    domains: tuple[str, ...], targets: tuple[str, ...], irreducible: Array, exponents: Array
) -> Exponential:
    """An exponential law by what its optimum depends on."""
    return Exponential(domains, targets, irreducible, exponents, worst=irreducible + 10)


def random_reciprocal(random: np.random.Generator, domains: tuple[str, ...], targets: tuple[str, ...]) -> Reciprocal:
    """Strengths over several powers of ten, exponents over all that is convex."""
    count, shape = len(targets), (len(targets), len(domains))
    irreducible = random.uniform(0.5, 2, count)
    return Reciprocal(
        domains,
        targets,
        irreducible=irreducible,
        log_strengths=random.normal(-1, 1.5, shape),
        exponents=random.uniform(0.05, 1, shape),
        outer=random.uniform(0.5, 1.5, count),
        offset=1e-4,
        worst=irreducible + 10,
    )


def random_limits(random: np.random.Generator, domains: tuple[str, ...]) -> tuple[Limits, Array]:
    """Limits of every kind, and a mixture inside them."""
    count = len(domains)
    inside = random.dirichlet(np.ones(count))
    limits = Limits.simplex(domains)
    if random.random() < 0.7:
        loose = random.uniform(0, 0.6, count) * (random.random(count) < 0.7)
        limits = replace(limits, cap=np.minimum(1.0, np.maximum(inside * random.uniform(1, 4, count), loose)))
    if random.random() < 0.6:
        limits = replace(limits, floor=np.where(random.random(count) < 0.5, 0.8 * inside * random.random(count), 0.0))
    if random.random() < 0.4:
        rows = int(random.integers(1, 4))
        groups = (random.random((rows, count)) < 0.4).astype(float)
        coefficients = random.normal(size=(rows, count)) if random.random() < 0.5 else groups
        room = random.uniform(0, 0.05, rows) * (random.random(rows) < 0.8)
        limits = replace(limits, rows=coefficients, bounds=coefficients @ inside + room)
    return limits, inside


def random_program(seed: int, most_domains: int = 40, most_targets: int = 30) -> tuple[Program, Array]:
    """A program with any of the limits, and a mixture that keeps them."""
    random = np.random.default_rng(seed)
    domains, targets = int(random.integers(2, most_domains + 1)), int(random.integers(1, most_targets + 1))
    law = random_law(random, domains, targets)
    limits, inside = random_limits(random, law.domains)
    prior = np.maximum(random.dirichlet(np.ones(domains)), 1e-6)
    kl = float(random.choice([0.001, 0.01, 0.05, 1.0])) if random.random() < 0.4 else 0.0
    weights = random.dirichlet(np.ones(targets)) if random.random() < 0.8 else np.eye(targets)[0]
    build = worst_case if random.random() < 0.3 else Program.mean
    counted = np.ones(targets) if build is worst_case else weights
    return build(law, limits, counted, kl=kl, prior=prior / prior.sum() if kl else None), inside
