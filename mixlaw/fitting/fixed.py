"""Domains whose proportion is the same in every run: a law knows nothing of them but that proportion."""

from collections.abc import Mapping, Sequence

from mixlaw.design.spread import OF_ITSELF, never_varied
from mixlaw.errors import Refused, one_of
from mixlaw.mixture import SAME_MIXTURE, Array
from mixlaw.runs import RunTable
from mixlaw.wording import counted, in_shell

NAMED = 6
"""Domains named in a message before it counts the rest."""


def fixed_in(table: RunTable, asked: Sequence[str] = ()) -> dict[str, float]:
    """The proportions of the domains that a law is to hold fixed.

    What a domain does to the loss cannot be told from a constant where every run has the same of it: the law's slope
    there would be its prior's, and an optimum would follow it. So each such domain is varied, or fixed by name.

    Args:
        table: the runs that are fitted to.
        asked: domains to fix.

    Raises:
        Refused: for a domain of one proportion that is not asked to be fixed, or one that is and varies.
    """
    found = nearly_constant(table)
    for domain in asked:
        if one_of(domain, table.domains, "domain") not in found:
            share = table.proportions[:, table.domains.index(domain)]
            raise Refused(
                f"{table.source}: '{domain}' is between {share.min():.4g} and {share.max():.4g} in the runs, so its "
                f"effect can be told; leave --fixed {in_shell(domain)} out"
            )
    left = reason(table, asked)
    if left:
        raise Refused(left)
    return {domain: found[domain] for domain in dict.fromkeys(asked)}


def nearly_constant(table: RunTable) -> dict[str, float]:
    """Domains whose proportion differs between runs no more than logs of repeats do, and its mean.

    A share of 1% in a run of 1,600 sequences is 16 of them in one run and 17 in the next, though it was meant to stay.
    """
    means = table.proportions.mean(axis=0)
    return {
        domain: float(mean)
        for domain, mean, shares in zip(table.domains, means, table.proportions.T, strict=True)
        if all(is_fixed(mean, share) for share in (shares.min(), shares.max()))
    }


def reason(table: RunTable, asked: Sequence[str] = ()) -> str:
    """Why no law can be fitted though the mixtures differ, in words; empty if every domain varies or is fixed."""
    found = never_varied(table.proportions, table.domains)
    left = {domain: share for domain, share in found.items() if domain not in asked}
    if not left:
        return ""
    listed = ", ".join(f"'{domain}' is {share:.4g}" for domain, share in list(left.items())[:NAMED])
    listed += f" and {len(left) - NAMED} more are constant" if len(left) > NAMED else ""
    its, it = ("its effect", "it") if len(left) == 1 else ("their effects", "them")
    flags = " ".join(f"--fixed {in_shell(domain)}" for domain in left)
    return (
        f"{table.source}: {listed} in all {counted(len(set(table.runs)), 'run')}, so {its} cannot be told from a "
        f"constant; vary {it}, or leave {it} out with {flags}"
    )


def check_fixed(fixed: Mapping[str, float], domains: Sequence[str], mixtures: Mapping[str, Array]) -> None:
    """Refuse mixtures (M,) that have another proportion of a domain that the law holds fixed."""
    for name, mixture in mixtures.items():
        for domain, share in fixed.items():
            asked = float(mixture[list(domains).index(domain)])
            if not is_fixed(share, asked):
                raise Refused(
                    f"mixture '{name}' has {asked:.4g} of '{domain}', which is {share:.4g} in every run of the law: "
                    f"what another proportion does is not known; give it {share:.4g}, or add runs that vary it"
                )


def is_fixed(share: float, asked: float) -> bool:
    """Whether a proportion is the one that a domain is fixed at, as near as logs of repeats are."""
    return abs(asked - share) <= max(SAME_MIXTURE, OF_ITSELF * share)


def said_of(fixed: Mapping[str, float]) -> tuple[str, ...]:
    """Where a law holds, in words; nothing where it holds everywhere."""
    if not fixed:
        return ()
    listed = " and ".join(f"'{domain}' is {share:.4g}" for domain, share in fixed.items())
    return (f"the law holds where {listed}, as in every run of it: what other proportions do is not known",)
