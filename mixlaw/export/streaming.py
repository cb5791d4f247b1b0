"""MosaicML Streaming, and llm-foundry on top of it."""

from mixlaw.export.base import Exporter, Request, Source, Unit
from mixlaw.export.block_yaml import to_yaml


def render(request: Request) -> str:
    """The `streams` of llm-foundry's `train_loader`; each entry is the keyword arguments of one `Stream`.

    `proportion` is a share of the samples of an epoch. Samples of a pre-tokenised data set (llm-foundry's
    `convert_dataset_hf.py --concat_tokens`) all have one length, so shares of samples are shares of tokens.
    """
    streams = {source.domain: {_place(source): source.path, "proportion": source.share} for source in request.sources}
    return to_yaml({"train_loader": {"dataset": {"streams": streams}}}, request.comment)


def _place(source: Source) -> str:
    return "remote" if "://" in source.path else "local"


EXPORTER = Exporter(
    name="streaming",
    description="MosaicML Streaming 0.13 and llm-foundry 0.22: streams of the train_loader, as YAML",
    units=(Unit.SEQUENCES, Unit.DOCUMENTS),
    filename="streams.yaml",
    usage="merge FILE into the llm-foundry YAML, or build [Stream(**entry) for entry in streams.values()] of it",
    render=render,
)
