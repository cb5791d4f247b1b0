"""What an exporter is, and what it is given to write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePath


class Unit(StrEnum):
    """What a trainer's number counts; a proportion of ours always counts training tokens.

    TOKENS: the share of training tokens. SEQUENCES: the share of sequences of one length, so the same number.
    DOCUMENTS: the share of documents or rows of any length; proportion / mean tokens a document, normalised.
    FRACTION: the part of a data set that is read once; no share of the mixture at all.
    """

    TOKENS = "tokens"
    SEQUENCES = "sequences"
    DOCUMENTS = "documents"
    FRACTION = "fraction"


MEANING: Mapping[Unit, str] = {
    Unit.TOKENS: "shares of training tokens: the mixture itself",
    Unit.SEQUENCES: "shares of sequences of equal length, so of training tokens: the mixture itself",
    Unit.DOCUMENTS: "shares of documents: each proportion of tokens / the domain's mean tokens a document, normalised",
    Unit.FRACTION: "the fraction of each data set to keep: proportion x tokens kept in all / the domain's tokens",
}


@dataclass(frozen=True)
class Source:
    """One domain as the trainer will read it.

    Attributes:
        domain: its name.
        share: the number to write, in the unit of the request.
        paths: where its training data lies, as the trainer names it; one or more.
        held_out: paths of other splits by name ("valid", "test"); may be empty.
        epochs: passes over it, if the budget and its tokens are known.
    """

    domain: str
    share: float
    paths: tuple[str, ...]
    held_out: Mapping[str, str]
    epochs: float | None = None

    @property
    def path(self) -> str:
        """The only path."""
        (path,) = self.paths
        return path

    @property
    def number(self) -> str:
        """The share in plain decimals: never an exponent, always a point, no digit lost."""
        return decimal_text(self.share)


@dataclass(frozen=True)
class Stage:
    """The mixture in force from `start_step` on."""

    start_step: int
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Request:
    """What an exporter writes down: stages of sources whose shares are already in the trainer's unit.

    The first stage starts at step 0. All checks of shares, paths and stages have been made.
    """

    stages: tuple[Stage, ...]
    unit: Unit

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of the only stage."""
        (stage,) = self.stages
        return stage.sources

    @property
    def comment(self) -> str:
        """What the numbers are, in one line, for formats that have comments."""
        return f"Written by mixlaw. The numbers are {MEANING[self.unit]}."


@dataclass(frozen=True)
class Exporter:
    """One trainer's way to be told a mixture.

    Attributes:
        name: what `--to` takes.
        description: the trainer and the section of its configuration that is written, with the version looked at.
        units: what the trainer's numbers may count, depending on how its data is stored; the first is assumed.
        filename: a name for the file, with the suffix the trainer expects.
        usage: how the file is handed over; `FILE` stands for its path.
        render: the text of the file.
        keeps_zeros: a domain of proportion 0 is written too; otherwise it is left out, since a trainer either refuses
            zeros or, worse, reads from them.
        many_paths: a domain may have several paths.
        staged: the trainer has a way to change mixtures at given steps.
    file_per_stage: the trainer is launched anew for each stage, with a file of its own.
        repeats: the trainer reads a domain again when it is used up; False for one that reads each at most once.
        reads_paths: the format names where the data lies.
        granularity: the smallest share that the trainer can honour; 0 if any.
    stage_note: what a user of stages must see to; `STEPS` stands for the steps at which a later stage begins.
    """

    name: str
    description: str
    units: tuple[Unit, ...]
    filename: str
    usage: str
    render: Callable[[Request], str]
    keeps_zeros: bool = False
    many_paths: bool = False
    staged: bool = False
    file_per_stage: bool = False
    repeats: bool = True
    reads_paths: bool = True
    granularity: float = 0.0
    stage_note: str = ""


def files(exporter: Exporter, request: Request, name: str) -> dict[str, str]:
    """The text of every file to write, by name: `name` alone, or the first stage there and later ones beside it.

    A later stage of `blend.txt` that begins at step 9000 is `blend-9000.txt`.
    """
    if not exporter.file_per_stage:
        return {name: exporter.render(request)}
    path = PurePath(name)
    return {
        name if stage.start_step == 0 else str(path.with_stem(f"{path.stem}-{stage.start_step}")): exporter.render(
            Request((stage,), request.unit)
        )
        for stage in request.stages
    }


def decimal_text(number: float) -> str:
    """A number in plain decimals that reads back to the same bits, with a point: `0.000001`, `1.0`.

    YAML 1.1 readers take `1e-06` for a string, and people misread it.
    """
    text = format(Decimal(repr(float(number))), "f")
    return text if "." in text else text + ".0"
