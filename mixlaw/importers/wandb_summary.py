"""What Weights & Biases keeps of a run besides its history: a summary, and the group and sweep it belongs to."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixlaw.importers.base import Point, add_to_last
from mixlaw.importers.nested import flatten

ABOUT = "wandb."
"""What the names of settings begin with that are no configuration: `--where wandb.group=NAME` takes a group."""


def with_summary(points: Sequence[Point], summary: Mapping[str, Any]) -> tuple[Point, ...]:
    """The points, the last of them with whatever stands in the summary alone.

    A summary holds the last value of all that was logged, which the history has already, and what was set at the end:
    `run.summary["eval/web_loss"] = 2.4`. Without a history it is a point by itself.
    """
    values = flatten(summary)
    return add_to_last(points, {name: value for name, value in values.items() if not name.startswith("_")})


def about(facts: Mapping[str, Any]) -> dict[str, str]:
    """Group, sweep, project, kind of job as settings `wandb.<name>`, where the run has them."""
    return {f"{ABOUT}{name}": str(value) for name, value in facts.items() if value}
