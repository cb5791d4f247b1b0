"""What a user should know about an export: what was left out, what a trainer cannot honour, what is read twice."""

from collections.abc import Mapping, Sequence

from mixlaw.export.base import Exporter
from mixlaw.export.shares import tokens_without_repeats
from mixlaw.export.sizes import Size
from mixlaw.mixture import Mixture
from mixlaw.wording import in_words

ROUNDING = 5e-4
"""How far above one the epochs of a proportion that was rounded may be."""

NO_PATHS = "no paths were given, so the domains' names stand where paths belong; pass --paths, or replace them"


def about_shares(
    exporter: Exporter, mixture: Mixture, converted: Mapping[str, float], keep: Sequence[str]
) -> list[str]:
    """Domains left out, and shares below what the trainer can honour."""
    notes = []
    left_out = [domain for domain in mixture.domains if domain not in keep]
    if left_out:
        notes.append(f"left out, with a proportion of 0: {', '.join(left_out)}")
    for domain in keep:
        if 0 < converted[domain] < exporter.granularity:
            notes.append(
                f"'{domain}' has a share of {converted[domain]:.3g}, below 1/{1 / exporter.granularity:.0f}, "
                f"the least that {exporter.name} honours as it is set by default: it may never be read"
            )
    return notes


def epochs(stages: Mapping[int, Mixture], sizes: Mapping[str, Size], budget_tokens: float | None) -> dict[str, float]:
    """Passes over each domain, where they can be told: one stage, a budget, and tokens of every domain it reads."""
    (mixture, *later) = stages.values()
    used = {domain: value for domain, value in mixture.as_dict().items() if value > 0}
    if later or budget_tokens is None or not used.keys() <= sizes.keys():
        return {}
    return {domain: value * budget_tokens / sizes[domain].tokens for domain, value in used.items()}


def about_epochs(
    exporter: Exporter, stages: Mapping[int, Mixture], sizes: Mapping[str, Size], budget_tokens: float | None
) -> list[str]:
    """Domains read more than once, or, of a trainer that repeats nothing, where its data ends."""
    if not sizes:
        return []
    if len(stages) > 1:
        return ["epochs are not counted over stages, for lack of the tokens of a step: check each domain's by hand"]
    (mixture,) = stages.values()
    lacking = [domain for domain, value in mixture.as_dict().items() if value > 0 and domain not in sizes]
    if lacking:
        return [f"epochs are not known for lack of the tokens of {', '.join(lacking)}"]
    if not exporter.repeats:
        return _about_shortage(exporter, tokens_without_repeats(mixture, sizes), budget_tokens)
    passes = epochs(stages, sizes, budget_tokens)
    budget = "" if budget_tokens is None else in_words(budget_tokens)
    return [
        f"'{domain}' is read {_times(count)} times: {mixture.as_dict()[domain]:.4g} of {budget} tokens, "
        f"of which {in_words(sizes[domain].tokens)} are available"
        for domain, count in passes.items()
        if count > 1 + ROUNDING
    ]


def _times(count: float) -> str:
    return f"{count:.4g}" if count < 1000 else f"{count:,.0f}"


def _about_shortage(exporter: Exporter, most: float, budget_tokens: float | None) -> list[str]:
    if budget_tokens is not None and budget_tokens <= most:
        return []
    asked = f", not the {in_words(budget_tokens)} asked for" if budget_tokens is not None else ""
    return [
        f"{exporter.name} repeats nothing, so it reads {in_words(most)} tokens in all{asked}: one domain is used up"
    ]
