"""What the last part of a run owes to each domain: the final phase again, with one domain left out (2406.03476).

All runs of a seed share one base: only the final phases are trained again. Beside them stand the run that never
switched, and a control that reads the same totals mixed throughout, since a better fixed mixture could explain what
looks like a matter of order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mixlaw.errors import Refused, one_of
from mixlaw.files import replacing
from mixlaw.launch.progress import Watching
from mixlaw.launch.roster import called, full_run, stages
from mixlaw.launch.swarm import full_table, train_members
from mixlaw.launch.weights_table import write_weights
from mixlaw.mixture import Array, Mixture
from mixlaw.plan import Plan
from mixlaw.runs import LOSS
from mixlaw.study_files import PROBE
from mixlaw.train.members import Member, Stage
from mixlaw.weights import weights_of
from mixlaw.wording import counted

NEVER, THROUGHOUT, WITHOUT = "never switched", "mixed throughout", "without "


@dataclass(frozen=True)
class Way:
    """One way to train.

    Attributes:
        what: it is, as the table says.
        name: of its runs.
        mixture: at the start.
        stages: later.
    """

    what: str
    name: str
    mixture: Mixture
    stages: tuple[Stage, ...]


def without(mixture: Mixture, domain: str) -> Mixture:
    """The mixture with one domain left out; the others keep their ratios.

    Raises:
        Refused: for a domain that is not in it, or is all of it.
    """
    one_of(domain, [name for name, share in mixture.as_dict().items() if share > 0], "domain of the final mixture")
    rest = 1 - mixture.as_dict()[domain]
    if rest <= 0:
        raise Refused(f"the final mixture is '{domain}' alone, which cannot be left out; choose another mixture")
    return Mixture(
        mixture.domains,
        tuple(
            0.0 if name == domain else share / rest
            for name, share in zip(mixture.domains, mixture.proportions, strict=True)
        ),
    )


def throughout(base: Mixture, later: Sequence[Stage]) -> Mixture:
    """The mixture that reads, in all, what a base mixture and later stages read in turn."""
    shares = [1.0, *(stage.last for stage in later), 0.0]
    total: Array = np.zeros(len(base.domains))
    for mixture, begins, ends in zip([base, *(s.mixture for s in later)], shares[:-1], shares[1:], strict=True):
        total = total + (begins - ends) * mixture.aligned(base.domains)
    return Mixture(base.domains, tuple(float(share) for share in total / total.sum()))


def ways(plan: Plan, base: Mixture, removed: Sequence[str]) -> list[Way]:
    """The ways that a probe compares; the first is the plan's own.

    Args:
        plan: with one stage.
        base: the mixture before it.
        removed: domains to leave out, one at a time; all of the final mixture when empty.

    Raises:
        Refused: for a plan without exactly one stage, or a domain that cannot be left out.
    """
    if len(plan.stages) != 1:
        found = counted(len(plan.stages), "stage")
        raise Refused(f"the plan has {found}; a probe needs one, [[stages]] with the final phase")
    final, name = stages(plan)[0], called(plan)
    left_out = removed or [domain for domain, share in final.mixture.as_dict().items() if share > 0]
    return [
        Way("switched", name, base, (final,)),
        Way(NEVER, f"{name}-never", base, (replace(final, mixture=base),)),
        Way(THROUGHOUT, f"{name}-throughout", throughout(base, [final]), ()),
        *(
            Way(f"{WITHOUT}{domain}", f"{name}-without-{domain}", base, (replace(final, mixture=other),))
            for domain, other in ((domain, without(final.mixture, domain)) for domain in left_out)
        ),
    ]


def probe(
    plan: Plan,
    base: Mixture,
    seeds: Sequence[int],
    watching: Watching,
    *,
    removed: Sequence[str] = (),
    workers: int | None = None,
) -> pd.DataFrame:
    """Train what is missing of a probe and write `probe.csv`.

    Args:
        plan: with one stage, the final phase.
        base: the mixture before it.
        seeds: of each way's runs.
        watching: told what is trained.
        removed: domains to leave out, one at a time; all of the final mixture when empty.
        workers: trained at a time; None for one a core, or one a GPU.

    Returns:
        One row per way: `way`, `runs`, `weighted` and `loss.<target>` (means over seeds, nats per token), and
        `difference`, by how much its weighted loss is above that of the run that switched, seed by seed; of a removal
        this is what the domain brought.

    Raises:
        Refused: for a plan without one stage, or runs that failed.
    """
    compared = ways(plan, base, removed)
    members = [
        full_run(plan, way.name, way.mixture, seed, stages=way.stages, samples=plan.samples)
        for way in compared
        for seed in seeds
    ]
    bases = members[: len(seeds)]
    train_members(plan, bases, plan.folder, watching(f"{counted(len(bases), 'run')} that others branch from"), workers)
    train_members(plan, members, plan.folder, watching(f"{counted(len(members), 'run')} of the probe"), workers)
    write_weights(plan.folder)
    table = _compared(plan, compared, members, full_table(plan.folder).frame)
    with replacing(plan.folder / PROBE) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return table


def _compared(plan: Plan, compared: Sequence[Way], members: Sequence[Member], runs: pd.DataFrame) -> pd.DataFrame:
    last = runs.sort_values("tokens").groupby("run").tail(1).set_index("run")
    missing = [member.run for member in members if member.run not in last.index]
    if missing:
        raise Refused(f"{plan.folder}: {counted(len(missing), 'run')} of the probe failed: {', '.join(missing[:4])}")
    columns = [name for name in last.columns if name.startswith(LOSS)]
    weights = weights_of(plan.weights or None, tuple(name.removeprefix(LOSS) for name in columns))
    rows, first = [], None
    for way in compared:
        losses = last.loc[[member.run for member in members if member.group == way.name], columns].to_numpy(float)
        weighted = losses @ weights
        first = weighted if first is None else first
        row = {"way": way.what, "runs": len(losses), "weighted": weighted.mean()}
        row["difference"] = (weighted - first).mean()
        rows.append(row | dict(zip(columns, losses.mean(0), strict=True)))
    return pd.DataFrame(rows)
