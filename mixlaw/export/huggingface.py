"""Hugging Face `datasets.interleave_datasets`."""

from pathlib import PurePosixPath

from mixlaw.export.base import Exporter, Request, Source, Unit
from mixlaw.files import to_json

LOADER = """\
import json, pathlib
from datasets import interleave_datasets, load_dataset
mixture = json.loads(pathlib.Path("FILE").read_text())
parts = [load_dataset(**source["load"], split="train", streaming=True) for source in mixture["sources"]]
train = interleave_datasets(parts, [source["probability"] for source in mixture["sources"]], **mixture["interleave"])"""

BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".txt": "text", ".arrow": "arrow"}


def render(request: Request) -> str:
    """JSON for the five lines of `LOADER`: data, not code, so that it can be read, compared and generated safely.

    `interleave_datasets` draws rows, so what a probability means depends on what a row is. `all_exhausted` keeps the
    probabilities until every source has been read once; the default of `datasets`, `first_exhausted`, ends the training
    set as soon as the scarcest domain is used up.
    """
    sources = [
        {"domain": source.domain, "load": load_arguments(source), "probability": source.share}
        for source in request.sources
    ]
    return to_json(
        {
            "interleave": {"seed": 0, "stopping_strategy": "all_exhausted"},
            "sources": sources,
            "unit": str(request.unit),
        }
    )


def load_arguments(source: Source) -> dict[str, str | list[str]]:
    """Arguments of `load_dataset`: files go to the builder of their suffix; anything else is a folder or a hub name."""
    suffixes = {_suffix(path) for path in source.paths}
    builder = BUILDERS.get(suffixes.pop()) if len(suffixes) == 1 else None
    if builder:
        return {"path": builder, "data_files": list(source.paths)}
    return (
        {"path": source.path} if len(source.paths) == 1 else {"path": source.paths[0], "data_files": list(source.paths)}
    )


def _suffix(path: str) -> str:
    name = PurePosixPath(path).name
    for ending in (".gz", ".zst", ".xz", ".bz2"):
        name = name.removesuffix(ending)
    return PurePosixPath(name).suffix


EXPORTER = Exporter(
    name="huggingface",
    description="Hugging Face datasets: interleave_datasets (datasets 5.2; HF Trainer, accelerate)",
    units=(Unit.DOCUMENTS, Unit.SEQUENCES),
    filename="mixture.json",
    usage="load it with:\n\n" + LOADER,
    render=render,
    many_paths=True,
)
