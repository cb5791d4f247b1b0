"""OLMo-core's list of source mixtures."""

import math

from mixlaw.export.base import Exporter, Request, Source, Unit
from mixlaw.export.block_yaml import Node, to_yaml


def render(request: Request) -> str:
    """A `SourceMixtureList` as YAML.

    Ratios are of tokens. OLMo-core reads 4,096 tokens even of a source whose ratio is 0, so zeros are left out; and it
    refuses a mixture that needs more than `max_repetition_ratio` passes over a source, which is 1 unless said, so the
    passes that the budget needs are said, rounded up.
    """
    return to_yaml({"sources": [_entry(source) for source in request.sources]}, request.comment)


def _entry(source: Source) -> dict[str, Node]:
    entry: dict[str, Node] = {
        "source_name": source.domain,
        "target_ratio": source.share,
        "paths": list(source.paths),
    }
    if source.epochs is not None and source.epochs > 1:
        entry["max_repetition_ratio"] = math.ceil(source.epochs * 1000) / 1000
    return entry


EXPORTER = Exporter(
    name="olmo-core",
    description="OLMo-core 3.0: SourceMixtureList, as YAML",
    units=(Unit.TOKENS,),
    filename="sources.yaml",
    usage="pass SourceMixtureDatasetConfig(source_list=SourceMixtureList(**yaml.safe_load(open('FILE'))), ...) as the "
    "source mixture of NumpyFSLDatasetConfig",
    render=render,
    many_paths=True,
)
