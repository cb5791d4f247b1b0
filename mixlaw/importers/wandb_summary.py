"""What Weights & Biases keeps of a run besides its history: a summary, and the group and sweep it belongs to."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixlaw.importers.base import Point
from mixlaw.importers.nested import flatten

ABOUT = "wandb."
"""What the names of settings begin with that are no configuration: `--where wandb.group=NAME` takes a group."""


def with_summary(points: Sequence[Point], summary: Mapping[str, Any]) -> tuple[Point, ...]:
    """The points, the last of them with whatever stands in the summary alone.

    A summary holds the last value of all that was logged, which the history has already, and what was set at the end:
    `run.summary["eval/web_loss"] = 2.4`. Without a history it is a point by itself.
    """
    logged = {name for point in points for name in point}
    alone = {name: value for name, value in flatten(summary).items() if name not in logged and not name.startswith("_")}
    if not alone:
        return tuple(points)
    return (*points[:-1], {**(points[-1] if points else {}), **alone})


def about(facts: Mapping[str, Any]) -> dict[str, str]:
    """Group, sweep, project, kind of job as settings `wandb.<name>`, where the run has them."""
    return {f"{ABOUT}{name}": str(value) for name, value in facts.items() if value}
