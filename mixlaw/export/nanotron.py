"""nanotron's data stages."""

from mixlaw.export.base import Exporter, Request, Stage, Unit
from mixlaw.export.block_yaml import Node, to_yaml


def render(request: Request) -> str:
    """The `data_stages` of a run over tokenised Nanoset folders.

    nanotron counts steps from 1, so a mixture in force after n steps starts at step n + 1.
    """
    return to_yaml({"data_stages": [_stage(stage) for stage in request.stages]}, request.comment)


def _stage(stage: Stage) -> Node:
    dataset = {
        "dataset_folder": [source.path for source in stage.sources],
        "dataset_weights": [source.share for source in stage.sources],
    }
    return {
        "name": f"after {stage.start_step} steps",
        "start_training_step": stage.start_step + 1,
        "data": {"dataset": dataset, "num_loading_workers": 1, "seed": 42},
    }


EXPORTER = Exporter(
    name="nanotron",
    description="nanotron (2026): data_stages over Nanoset folders, as YAML",
    units=(Unit.SEQUENCES,),
    filename="data_stages.yaml",
    usage="merge FILE into the training configuration",
    render=render,
    staged=True,
)
