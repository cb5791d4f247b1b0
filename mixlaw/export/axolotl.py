"""axolotl's datasets."""

from mixlaw.export.base import Exporter, Request, Source, Unit
from mixlaw.export.block_yaml import Node, to_yaml
from mixlaw.export.huggingface import load_arguments


def render(request: Request) -> str:
    """The `datasets` of an axolotl configuration.

    A `weight` of axolotl's is the fraction of that data set which is kept, a random subset read once an epoch; it is no
    proportion, and proportions copied there would train on a different mixture.
    """
    return to_yaml({"datasets": [_entry(source) for source in request.sources]}, request.comment)


def _entry(source: Source) -> Node:
    load = load_arguments(source)
    place: dict[str, Node] = {"path": load["path"]}
    if "data_files" in load:
        place = {"path": source.paths[0], "ds_type": load["path"], "data_files": load["data_files"]}
    return {**place, "split": "train", "type": "completion", "weight": source.share}


EXPORTER = Exporter(
    name="axolotl",
    description="axolotl 0.21: datasets, as YAML",
    units=(Unit.FRACTION,),
    filename="datasets.yaml",
    usage="merge FILE into the axolotl configuration; the type is that of plain text, so change it for chats",
    render=render,
    many_paths=True,
    repeats=False,
)
