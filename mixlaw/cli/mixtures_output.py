"""The mixtures file that a design is written to, and what trains it."""

from collections.abc import Mapping
from os.path import relpath
from pathlib import Path

from rich.console import Console

from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.errors import Refused
from mixlaw.mixture import Mixture, read_mixtures, write_mixtures
from mixlaw.plan import read_plan
from mixlaw.wording import counted


def write(console: Console, output: Path, mixtures: Mapping[str, Mixture], *, extend: bool) -> None:
    """Write mixtures by name; with `extend` after those of other names that the file holds.

    Raises:
        Refused: if those are of other domains: one file has one column a domain, with no blanks.
    """
    there = read_mixtures(output) if extend and output.exists() else {}
    before, now = ({domain for each in found.values() for domain in each.domains} for found in (there, mixtures))
    if there and before != now:
        raise Refused(
            f"{output} holds mixtures of {', '.join(sorted(before))}, and these are of {', '.join(sorted(now))}; name "
            "another file"
        )
    earlier = {name: mixture for name, mixture in there.items() if name not in mixtures}
    write_mixtures(output, {**earlier, **mixtures})
    added = f", after the {counted(len(earlier), 'mixture')} that were there" if earlier else ""
    console.print(f"{output}: {counted(len(mixtures), 'mixture')}{added}")


def next_step(plan: Path | None, output: Path, mixtures: Mapping[str, Mixture]) -> str:
    """What trains the mixtures written to `output`: a plan trains its own design, unless it names a file."""
    elsewhere = "train a proxy on each elsewhere and mixlaw fit runs.csv"
    if plan is None:
        return f'Next: {elsewhere}, or mixlaw train PLAN with file = "{output.name}" under its [design]'
    study = read_plan(plan)
    if study.design.file is not None and study.path(study.design.file).resolve() == output.resolve():
        return f"Next: mixlaw train {plan}, which reads them from there"
    if (
        study.design.file is None
        and planned(study, open_corpus(study.path(study.corpus.path)).train_tokens) == mixtures
    ):
        return f"Next: mixlaw train {plan}, or {elsewhere}"
    file = relpath(output.resolve(), study.folder.resolve())
    return f'Next: write file = "{file}" under [design] of {plan}, then mixlaw train {plan}; or {elsewhere}'
