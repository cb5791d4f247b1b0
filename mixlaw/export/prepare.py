"""From a mixture to what an exporter writes: units, paths, stages, and what the user should know about them."""

from collections.abc import Mapping
from dataclasses import dataclass

from mixlaw.errors import Refused, one_of
from mixlaw.export.base import Exporter, Request, Source, Stage, Unit
from mixlaw.export.notes import NO_PATHS, about_epochs, about_shares, epochs
from mixlaw.export.paths import Place, place_of
from mixlaw.export.shares import shares
from mixlaw.export.sizes import Size
from mixlaw.mixture import Mixture


@dataclass(frozen=True)
class Prepared:
    """A request whose checks have been made, and notes on what will differ from what one might think."""

    request: Request
    notes: tuple[str, ...]


def prepare(
    exporter: Exporter,
    stages: Mapping[int, Mixture],
    *,
    places: Mapping[str, Place] | None = None,
    sizes: Mapping[str, Size] | None = None,
    budget_tokens: float | None = None,
    unit: str | None = None,
) -> Prepared:
    """Convert, round, look up and check.

    Args:
        exporter: the format.
        stages: mixtures by the step from which they are in force; one starts at 0.
        places: where each domain's data lies; without any, the domains' names stand in, and a note says so.
        sizes: available tokens and documents by domain.
        budget_tokens: tokens to be trained on in all; with sizes it tells the epochs.
        unit: what the trainer's numbers count, if the format leaves a choice.

    Raises:
        Refused: for a unit or stages that the trainer does not have, a domain without a path, or sizes that are needed.
    """
    chosen = _unit(exporter, unit)
    _check_stages(exporter, stages)
    sizes = sizes or {}
    passes = epochs(stages, sizes, budget_tokens)
    used = {domain for mixture in stages.values() for domain, value in mixture.as_dict().items() if value > 0}
    notes = [] if places is not None or not exporter.reads_paths else [NO_PATHS]
    written = []
    for start_step, mixture in sorted(stages.items()):
        converted = _shares(exporter, mixture, chosen, sizes, budget_tokens)
        keep = mixture.domains if exporter.keeps_zeros else [d for d in mixture.domains if converted[d] > 0]
        if len(stages) > 1 and exporter.staged and not exporter.file_per_stage:
            keep = [domain for domain in mixture.domains if domain in used]
        sources = tuple(_source(domain, converted[domain], places, exporter, passes) for domain in keep)
        written.append(Stage(start_step, sources))
        notes += about_shares(exporter, mixture, converted, keep)
    notes += about_epochs(exporter, stages, sizes, budget_tokens)
    if len(stages) > 1:
        notes.append(exporter.stage_note.replace("STEPS", ",".join(str(step) for step in sorted(stages) if step > 0)))
    return Prepared(Request(tuple(written), chosen), tuple(dict.fromkeys(notes)))


def _unit(exporter: Exporter, unit: str | None) -> Unit:
    if unit is None:
        return exporter.units[0]
    one_of(unit, [str(each) for each in Unit], "unit")
    if Unit(unit) not in exporter.units:
        raise Refused(
            f"{exporter.name} cannot be given shares of {unit}; its numbers count {' or '.join(exporter.units)}"
        )
    return Unit(unit)


def _shares(
    exporter: Exporter, mixture: Mixture, unit: Unit, sizes: Mapping[str, Size], budget_tokens: float | None
) -> dict[str, float]:
    try:
        return shares(mixture, unit, sizes, budget_tokens)
    except Refused as error:
        if unit == Unit.DOCUMENTS and Unit.SEQUENCES in exporter.units:
            raise Refused(f"{error}, or --unit sequences if every row holds the same number of tokens") from None
        raise


def _check_stages(exporter: Exporter, stages: Mapping[int, Mixture]) -> None:
    if min(stages, default=-1) != 0:
        raise Refused(f"the stages start at steps {sorted(stages)}; the first must start at 0")
    if len(stages) > 1 and not exporter.staged:
        raise Refused(
            f"{exporter.name} cannot change its mixture during a run; export each stage to its own file and "
            "restart the trainer from its checkpoint at the stage's first step"
        )
    names = {frozenset(mixture.domains) for mixture in stages.values()}
    if len(names) > 1:
        odd = sorted(frozenset.union(*names) - frozenset.intersection(*names))
        raise Refused(f"{', '.join(odd)} is not in every stage's mixture; name all domains in each, with 0 if unused")


def _source(
    domain: str,
    share: float,
    places: Mapping[str, Place] | None,
    exporter: Exporter,
    passes: Mapping[str, float],
) -> Source:
    if not exporter.reads_paths:
        return Source(domain, share, (), {}, passes.get(domain))
    place = Place((domain,)) if places is None else place_of(domain, places)
    if len(place.train) > 1 and not exporter.many_paths:
        raise Refused(
            f"'{domain}' has {len(place.train)} paths, but {exporter.name} takes one a domain: how a proportion "
            "would be shared among them is not known; merge them into one"
        )
    return Source(domain, share, place.train, place.held_out, passes.get(domain))
