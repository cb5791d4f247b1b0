"""NVIDIA Megatron-Energon's metadataset."""

from mixlaw.export.base import Exporter, Request, Unit
from mixlaw.export.block_yaml import Node, to_yaml
from mixlaw.export.megatron import held_out_paths


def render(request: Request) -> str:
    """A `MetadatasetV2` whose training split is a weighted blend of data sets, drawn sample by sample.

    Held-out paths become the split `val`, blended as the training data is.
    """
    splits: dict[str, Node] = {"train": _blend(request, [source.path for source in request.sources])}
    held_out = held_out_paths(request, "valid")
    if held_out:
        splits["val"] = _blend(request, held_out)
    content = {"__module__": "megatron.energon", "__class__": "MetadatasetV2", "splits": splits}
    return to_yaml(content, request.comment)


def _blend(request: Request, paths: list[str]) -> Node:
    pairs = zip(request.sources, paths, strict=True)
    return {"blend": [{"weight": source.share, "path": path} for source, path in pairs]}


EXPORTER = Exporter(
    name="energon",
    description="NVIDIA Megatron-Energon 7.4: MetadatasetV2, as YAML",
    units=(Unit.DOCUMENTS, Unit.SEQUENCES),
    filename="metadataset.yaml",
    usage="pass FILE as the path of get_train_dataset",
    render=render,
)
