"""GPT-NeoX: lists of paths and weights."""

from mixlaw.export.base import Exporter, Request, Unit
from mixlaw.export.block_yaml import Node, to_yaml
from mixlaw.export.megatron import held_out_paths
from mixlaw.export.paths import HELD_OUT


def render(request: Request) -> str:
    """`train-data-paths` and `train-data-weights`, and the same of the held-out splits that have paths.

    GPT-NeoX refuses a configuration that has lists for some of its three splits only, so the file says which it lacks.
    """
    weights = [source.share for source in request.sources]
    content: dict[str, Node] = {
        "train-data-paths": [source.path for source in request.sources],
        "train-data-weights": weights,
    }
    lacking = []
    for split in HELD_OUT:
        paths = held_out_paths(request, split)
        if paths:
            content |= {f"{split}-data-paths": paths, f"{split}-data-weights": weights}
        else:
            lacking.append(f"{split}-data-paths")
    comment = request.comment
    if lacking:
        comment += f"\nGPT-NeoX refuses it until another configuration adds {' and '.join(lacking)}."
    return to_yaml(content, comment)


EXPORTER = Exporter(
    name="gpt-neox",
    description="GPT-NeoX (2026): train-data-paths and train-data-weights, as YAML",
    units=(Unit.SEQUENCES,),
    filename="data.yml",
    usage="add FILE to the configurations of deepy.py; it needs paths of the train, valid and test splits, and neither "
    "train_epochs, which refuses weights, nor weight_by_num_documents, which overrides them",
    render=render,
)
