"""The mixtures that a plan's proxies train on."""

from collections.abc import Mapping

from mixlaw.design.sample import sample
from mixlaw.errors import Refused, one_of
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture, read_mixtures
from mixlaw.plan import Plan


def planned(plan: Plan, tokens: Mapping[str, float]) -> dict[str, Mixture]:
    """The mixtures of a plan's swarm by name, from its file or its design.

    Args:
        plan: the study.
        tokens: unique training tokens of each domain of the corpus.

    Raises:
        Refused: for domains that the corpus lacks, or limits that no mixture meets.
    """
    domains = planned_domains(plan, tokens)
    if plan.design.file is None:
        return sample(
            domains,
            plan.design.mixtures,
            method=plan.design.method,
            natural=Mixture.natural(planned_tokens(plan, tokens)),
            limits=proxy_limits(plan, tokens),
            seed=plan.seed,
        )
    path = plan.path(plan.design.file)
    found = {}
    for name, mixture in read_mixtures(path).items():
        try:
            found[name] = Mixture(domains, tuple(map(float, mixture.aligned(domains))))
        except Refused as error:
            raise Refused(f"{path}: '{name}': {error}") from None
    return found


def planned_domains(plan: Plan, tokens: Mapping[str, float]) -> tuple[str, ...]:
    """The domains to train on; all of the corpus when the plan names none."""
    for domain in (*plan.corpus.domains, *plan.corpus.available_tokens):
        one_of(domain, tuple(tokens), "domain of the corpus")
    return plan.corpus.domains or tuple(tokens)


def planned_tokens(plan: Plan, tokens: Mapping[str, float]) -> dict[str, float]:
    """Unique tokens of each domain that the study may use."""
    usable = {**tokens, **plan.corpus.available_tokens}
    return {domain: float(usable[domain]) for domain in planned_domains(plan, tokens)}


def proxy_limits(plan: Plan, tokens: Mapping[str, float]) -> Limits:
    """What a proxy may train on: the plan's floors and caps, and no more passes over a domain than the target may make.

    Passes are counted in the proxy's own budget, not in the target's. A domain too scarce to be a tenth of the target
    can be half of a proxy a hundred times shorter without being read twice, and it has to be for its effect to be seen
    above the noise of a run: the swarm is left free and the optimum is limited, as in Olmix (2026, 2602.12237), which
    found this way round better than limiting both. Beyond the target's passes a proxy would measure repetition, which
    is not what the law of mixtures describes. With `match_epochs` a proxy's data shrink with its budget, and its passes
    are the target's.
    """
    usable = {domain: plan.unique_share * count for domain, count in planned_tokens(plan, tokens).items()}
    return Limits.of(
        planned_domains(plan, tokens),
        floors=plan.design.floors,
        caps=plan.design.caps,
        available=usable,
        budget_tokens=plan.proxies.tokens[-1],
        max_epochs=plan.target.max_epochs,
    )


def target_limits(plan: Plan, tokens: Mapping[str, float]) -> Limits:
    """What the full run may train on: no more passes over a domain than allowed, in the target's budget."""
    return Limits.of(
        planned_domains(plan, tokens),
        available=planned_tokens(plan, tokens),
        budget_tokens=plan.target.tokens,
        max_epochs=plan.target.max_epochs,
    )
