"""nanotron's data stages."""

from mixlaw.export.base import Exporter, Request, Stage, Unit
from mixlaw.export.block_yaml import Node, to_yaml

LAUNCHES = (
    "nanotron trains on the last stage: launch it with the first stage alone, stop at the checkpoint before the next "
    "stage's start_training_step, and resume from that with the next stage added"
)


def render(request: Request) -> str:
    """The `data_stages` of a run over tokenised Nanoset folders.

    nanotron counts steps from 1, so a mixture in force after n steps starts at step n + 1. Its script makes the data of
    the last stage only and fails at the first step of an earlier one, so a file of several stages says how it is used.
    """
    comment = request.comment
    if len(request.stages) > 1:
        comment += f"\nHere {LAUNCHES}."
    return to_yaml({"data_stages": [_stage(stage) for stage in request.stages]}, comment)


def _stage(stage: Stage) -> Node:
    # A folder of weight 0 in the first place is read once all the same: its error of 0 is the largest at every tie.
    sources = [source for source in stage.sources if source.share > 0]
    dataset = {
        "dataset_folder": [source.path for source in sources],
        "dataset_weights": [source.share for source in sources],
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
    usage="merge FILE into the training configuration; nanotron asserts that every folder's path has 's3' in it",
    render=render,
    staged=True,
    stage_note=LAUNCHES,
)
