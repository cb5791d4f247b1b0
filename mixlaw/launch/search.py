"""Mixtures that a method finds with small runs before the full ones: DoReMi's reference and proxy, DoGE's proxy.

Everything lies in a folder of the study, itself laid out as a study and called as the full runs that follow: records,
checkpoints and models of the small runs, `weights_over_time.csv`, and `found.json`, the mixture that is found.
"""

from pathlib import Path

import numpy as np

from mixlaw.errors import Refused
from mixlaw.files import write_json
from mixlaw.launch.progress import Watching
from mixlaw.launch.roster import check_online, full_run, mixture_called
from mixlaw.launch.swarm import train_members
from mixlaw.launch.weights_table import write_weights
from mixlaw.mixture import Mixture
from mixlaw.online import Doge, Doremi
from mixlaw.online.doremi import settled
from mixlaw.plan import Plan
from mixlaw.study_files import FOUND, RECORDS
from mixlaw.train.ladder import shape_of
from mixlaw.train.members import Member
from mixlaw.train.records import read_records
from mixlaw.wording import in_words


def search_folder(plan: Plan, name: str) -> Path:
    """Where what the search for the mixture of a name trains lies."""
    return plan.folder / name


def search(plan: Plan, name: str, start: Mixture, watching: Watching) -> Mixture:
    """Find the mixture that a plan's full runs read by; what is there of the search already is not trained again.

    Args:
        plan: whose online method searches.
        name: of the mixture, and of the folder.
        start: the weights that the method begins with.
        watching: told what is trained.

    Returns:
        The mean of the weights over the steps of the (last) proxy.

    Raises:
        Refused: for settings that cannot be met, or a run of the search that diverged.
    """
    settings, folder = plan.online, search_folder(plan, name)
    check_online(plan)
    if isinstance(settings, Doremi):
        found = _doremi(plan, settings, folder, start, watching)
    elif isinstance(settings, Doge):
        proxy = full_run(_small(plan, settings), "proxy", start, plan.seed, online=settings)
        found = _found(folder, _trained(plan, settings, folder, proxy, watching))
    else:
        raise ValueError(f"{plan.online} finds no mixture beforehand")
    write_weights(folder)
    write_json(folder / FOUND, found.as_dict())
    return found


def _doremi(plan: Plan, settings: Doremi, folder: Path, start: Mixture, watching: Watching) -> Mixture:
    """Rounds of a reference and a proxy, until the mixture moves no more."""
    small, before = _small(plan, settings), mixture_called(plan, settings.reference, "online.reference")
    for number in range(1, settings.rounds + 1):
        reference = full_run(small, f"reference{number}", before, plan.seed)
        _trained(plan, settings, folder, reference, watching)
        proxy = full_run(small, f"proxy{number}", start, plan.seed, online=settings, reference=reference.run)
        found = _found(folder, _trained(plan, settings, folder, proxy, watching))
        if settled(np.array(before.aligned(found.domains)), np.array(found.proportions), settings.tolerance):
            break
        before = found
    return found


def _small(plan: Plan, settings: Doremi | Doge) -> Plan:
    """The plan with the size and the tokens of its search for those of its target."""
    size, tokens = settings.size or plan.target.size, settings.tokens or plan.target.tokens
    try:
        shape_of(size)
    except Refused as error:
        raise Refused(f"the plan's online.size: {error}") from None
    if tokens < plan.training.batch_tokens:
        raise Refused(f"the plan's online.tokens is {tokens}, less than one step of {plan.training.batch_tokens}")
    target = plan.target.model_copy(update={"size": size, "tokens": tokens})
    return plan.model_copy(update={"target": target, "online": None, "samples": None, "stages": ()})


def _trained(plan: Plan, settings: Doremi | Doge, folder: Path, member: Member, watching: Watching) -> Member:
    scale = f"{member.size} on {in_words(member.tokens[-1])} tokens"
    train_members(_small(plan, settings), [member], folder, watching(f"{member.group} of {scale}"), 1)
    failed = read_records(folder / RECORDS).failed.get(member.run)
    if failed is not None:
        raise Refused(
            f"{folder}: run '{member.run}' failed: {failed['reason']}; change the plan's training or [online]"
        )
    return member


def _found(folder: Path, proxy: Member) -> Mixture:
    rows = read_records(folder / RECORDS).weights[proxy.run]
    last = rows[max(rows)]
    named = {name.removeprefix("average."): value for name, value in last.items() if name.startswith("average.")}
    return Mixture.of(named)
