"""Hugging Face TRL's dataset mixture."""

from mixlaw.export.base import Exporter, Request, Unit
from mixlaw.export.block_yaml import to_yaml
from mixlaw.export.huggingface import load_arguments


def render(request: Request) -> str:
    """The `datasets` of TRL's script configuration, each with a `fraction` of the rows.

    TRL keeps the largest mixture that repeats no row, and the first rows of each data set: the rest is dropped.
    """
    entries = [{**load_arguments(source), "split": "train", "fraction": source.share} for source in request.sources]
    return to_yaml({"datasets": entries}, request.comment)


EXPORTER = Exporter(
    name="trl",
    description="TRL 1.16: datasets of a script's configuration, as YAML",
    units=(Unit.DOCUMENTS, Unit.SEQUENCES),
    filename="datasets.yaml",
    usage="merge FILE into the configuration that `trl sft --config` reads, without streaming",
    render=render,
    many_paths=True,
    repeats=False,
)
