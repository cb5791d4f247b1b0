"""How much old data a model must go on seeing so as not to forget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mixlaw.errors import Refused, one_of
from mixlaw.fitting.law import LawAtScale
from mixlaw.mixture import SAME_MIXTURE, Array, Mixture

GRID = 1001
BISECTIONS = 60


@dataclass(frozen=True)
class Critical:
    """The least proportion of a domain at which a target's loss stays below a limit.

    Attributes:
        domain, target: the old data, and what is not to be forgotten.
        at_most: largest loss allowed, nats per token: the loss before continual training, say.
        proportion: below it the predicted loss is above the limit; 0 if the limit is kept even without the domain.
        low, high: the same where the ends of the loss's interval cross the limit; None if they never do.
        until: the largest proportion up to which the limit is kept; 1 unless too much of the domain harms the target.
        interval: how often the loss's interval is to hold the measured loss.
        rest: what fills up the mixture, in proportion.
        params, tokens: the scale.
        warnings: in words.
    """

    domain: str
    target: str
    at_most: float
    proportion: float
    low: float | None
    high: float | None
    until: float
    interval: float
    rest: Mixture
    params: float
    tokens: float
    warnings: tuple[str, ...]

    @property
    def mixture(self) -> Mixture:
        """The mixture at the critical proportion."""
        return _filled(self.domain, self.proportion, self.rest)


def critical(
    at: LawAtScale, domain: str, target: str, at_most: float, *, rest: Mixture | None = None, interval: float = 0.9
) -> Critical:
    """Find the proportion of a domain below which a target's loss exceeds a limit (Ye et al. 2024, arXiv 2403.16952).

    For two domains and the exponential law c + exp(k x + b) it is (ln(L0 - c) - b) / k. In general the mixture moves
    straight from the other domains, in fixed proportion to each other, to the one domain alone, and the first crossing
    is found on a fine grid and then by bisection, so no law need be monotone.

    Args:
        at: the law at one scale.
        domain: the old data.
        target: what must not be forgotten.
        at_most: largest loss allowed, nats per token.
        rest: proportions of the other domains to each other; equal by default.
        interval: of the loss, for `low` and `high`.

    Raises:
        Refused: for unknown names, a rest that holds the domain itself, or a limit that no proportion keeps, with the
            smallest loss that can be had.
    """
    law = at.law
    one_of(domain, law.domains, "domain")
    one_of(target, law.targets, "target")
    if at.fixed:
        raise Refused(
            f"{', '.join(at.fixed)} never varied in the runs of the law, and finding a critical proportion moves every "
            "domain; add runs that vary each"
        )
    if not (np.isfinite(at_most) and at_most > 0):
        raise Refused(f"the largest loss allowed is {at_most:g}; it must be a positive number of nats per token")
    if not 0 < interval < 1:
        raise Refused(f"the interval is {interval:g}; it is a probability between 0 and 1, such as 0.9")
    rest = _rest(law.domains, domain, rest)
    place, filler = law.targets.index(target), rest.aligned(law.domains)
    alone = np.eye(len(law.domains))[law.domains.index(domain)]

    def loss(share: Array, side: float = 0.0) -> Array:
        mixtures = share[:, None] * alone + (1 - share)[:, None] * filler
        predicted: Array = law.predict(mixtures)[:, place]
        return predicted + side * at.uncertainty.half_width(mixtures, interval)[:, place] if side else predicted

    share = np.linspace(0.0, 1.0, GRID)
    losses = loss(share)
    first = first_below(loss, at_most)
    if first is None:
        least = int(losses.argmin())
        raise Refused(
            f"no proportion of '{domain}' keeps the loss of '{target}' at {at_most:g}: the smallest that can be had is "
            f"{np.ceil(losses[least] * 1e4) / 1e4:.4f}, at a proportion of {share[least]:.3f}; raise --at-most"
        )
    high = first_below(lambda shares: loss(shares, 1.0), at_most)
    answers = {share: _filled(domain, share, rest) for share in (first, high) if share is not None}
    return Critical(
        domain=domain,
        target=target,
        at_most=at_most,
        proportion=first,
        low=first_below(lambda shares: loss(shares, -1.0), at_most),
        high=high,
        until=_last_below(loss, at_most),
        interval=interval,
        rest=rest,
        params=at.params,
        tokens=at.tokens,
        warnings=(*at.warnings, *_beyond(at, domain, answers)),
    )


def first_below(loss: Callable[[Array], Array], level: float) -> float | None:
    """The smallest x in [0, 1] with loss(x) <= level, to rounding; None if there is none on the grid."""
    share = np.linspace(0.0, 1.0, GRID)
    below = np.flatnonzero(loss(share) <= level)
    if not len(below):
        return None
    if below[0] == 0:
        return 0.0
    low, high = share[below[0] - 1], share[below[0]]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if loss(np.array([middle]))[0] <= level else (middle, high)
    return float(high)


def _last_below(loss: Callable[[Array], Array], level: float) -> float:
    mirrored = first_below(lambda share: loss(1 - share), level)
    return 1.0 if mirrored is None else 1.0 - mirrored


def _rest(domains: tuple[str, ...], domain: str, rest: Mixture | None) -> Mixture:
    others = tuple(name for name in domains if name != domain)
    if not others:
        raise Refused(f"the law has no domain but '{domain}', so its proportion is always 1")
    if rest is None:
        return Mixture.uniform(others)
    if rest.as_dict().get(domain, 0.0) > 0:
        raise Refused(
            f"the rest of the mixture holds '{domain}' itself; give proportions of {', '.join(others)} that sum to 1"
        )
    return Mixture(
        others,
        tuple(float(share) for share, name in zip(rest.aligned(domains), domains, strict=True) if name != domain),
    )


def _filled(domain: str, proportion: float, rest: Mixture) -> Mixture:
    """The mixture with so much of the domain, filled up with the rest."""
    shares = {name: (1 - proportion) * share for name, share in rest.as_dict().items()}
    return Mixture((domain, *shares), (proportion, *shares.values()))


def _beyond(at: LawAtScale, domain: str, answers: Mapping[float, Mixture]) -> list[str]:
    """Where the runs have not been: a proportion of the domain, or the mixture as a whole with its other domains."""
    seen = at.evidence[:, at.law.domains.index(domain)]
    said = []
    if any(not seen.min() - SAME_MIXTURE <= share <= seen.max() + SAME_MIXTURE for share in answers):
        said.append(
            f"the runs had between {seen.min():.3g} and {seen.max():.3g} of '{domain}': the critical proportion is "
            "extrapolated; train one run near it"
        )
    return [*said, *at.extrapolations({f"{share:.4f} of {domain}": mixture for share, mixture in answers.items()})]
