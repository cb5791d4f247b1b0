"""Megatron-LM data blend."""

from mixlaw.errors import Refused
from mixlaw.export.base import Exporter, Request, Source, Unit
from mixlaw.export.paths import HELD_OUT
from mixlaw.files import to_json


def render_blend(request: Request) -> str:
    """One line, `share prefix share prefix ...`; the file may hold nothing else, since it is split at white space."""
    return " ".join(f"{source.number} {_prefix(source.path, source)}" for source in request.sources) + "\n"


def render_splits(request: Request) -> str:
    """JSON with a blend for each split; Megatron reads all three keys, and null stands for a split without data.

    The held-out splits are blended as the training data is.
    """
    splits: dict[str, list[str] | None] = {"train": _blend(request, [source.path for source in request.sources])}
    for split in HELD_OUT:
        paths = held_out_paths(request, split)
        splits[split] = _blend(request, paths) if paths else None
    return to_json(splits)


def held_out_paths(request: Request, split: str) -> list[str]:
    """The paths of a held-out split in the order of the sources; none if no source names one.

    Raises:
        Refused: if some sources name one and others do not.
    """
    named = [source.domain for source in request.sources if split in source.held_out]
    lacking = [source.domain for source in request.sources if source.domain not in named]
    if named and lacking:
        raise Refused(f"{', '.join(named)} has a {split} path but {', '.join(lacking)} has none; give all or none")
    return [source.held_out[split] for source in request.sources] if named else []


def _blend(request: Request, prefixes: list[str]) -> list[str]:
    pairs = zip(request.sources, prefixes, strict=True)
    return [text for source, prefix in pairs for text in (source.number, _prefix(prefix, source))]


def _prefix(path: str, source: Source) -> str:
    if path.split() != [path]:
        raise Refused(
            f"the path of '{source.domain}' is '{path}'; Megatron splits its blend at spaces: rename the path"
        )
    return path.removesuffix(".bin").removesuffix(".idx")


PHASES = (
    "give every launch --phase-transition-iterations STEPS, the same --global-batch-size, and --train-samples (some "
    "releases fail with --train-iters alone): Megatron saves a checkpoint and exits at each of these iterations, and "
    "launched from there with the file of the next stage it counts the samples of that blend from 0"
)

BLEND = Exporter(
    name="megatron",
    description="Megatron-LM, Megatron-Bridge (NeMo) and lm-engine data blend (megatron-core 0.16 to 0.19)",
    units=(Unit.SEQUENCES,),
    filename="blend.txt",
    usage="pass --data-args-path FILE to pretrain_gpt.py, or its words as --data-path",
    render=render_blend,
    staged=True,
    file_per_stage=True,
    stage_note=PHASES,
)

SPLITS = Exporter(
    name="megatron-splits",
    description="Megatron-LM blends of the train, valid and test splits, as JSON (megatron-core 0.16 to 0.19)",
    units=(Unit.SEQUENCES,),
    filename="blends.json",
    usage="pass --per-split-data-args-path FILE to pretrain_gpt.py",
    render=render_splits,
    staged=True,
    file_per_stage=True,
    stage_note=PHASES,
)
