"""Levanter and Marin: components and training weights, with stages."""

from mixlaw.export.base import Exporter, Request, Stage, Unit
from mixlaw.export.block_yaml import Node, to_yaml

BLOCK = 2048
"""Levanter deals sequences out in blocks of this many (`mixture_block_size`); a smaller share gets none of a block."""


def render(request: Request) -> str:
    """The `data` section: a component of text files for each domain, and `train_weights`.

    With stages the weights are a list of [first step, weights]; every domain of any stage is a component.
    """
    components: dict[str, Node] = {
        source.domain: {"source": {"type": "url", "train_urls": list(source.paths), **_validation(source.held_out)}}
        for stage in request.stages
        for source in stage.sources
    }
    weights: Node = [[stage.start_step, _weights(stage)] for stage in request.stages]
    if len(request.stages) == 1:
        weights = _weights(request.stages[0])
    return to_yaml({"data": {"components": components, "train_weights": weights}}, request.comment)


def _weights(stage: Stage) -> dict[str, float]:
    return {source.domain: source.share for source in stage.sources}


def _validation(held_out: dict[str, str] | Node) -> dict[str, Node]:
    return {"validation_urls": [held_out["valid"]]} if "valid" in held_out else {}


EXPORTER = Exporter(
    name="levanter",
    description="Levanter and Marin (marin-levanter 0.2): data components and train_weights, as YAML",
    units=(Unit.SEQUENCES,),
    filename="data.yaml",
    usage="merge FILE into the training configuration",
    render=render,
    many_paths=True,
    staged=True,
    granularity=1 / BLOCK,
    stage_note=f"each stage must start at a multiple of {BLOCK} sequences: its step x batch size (mixture_block_size)",
)
