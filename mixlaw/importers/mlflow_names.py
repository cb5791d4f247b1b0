"""What both of MLflow's stores call the same: experiments and tags."""

from collections import Counter
from collections.abc import Sequence

from mixlaw.importers.base import LoggedRun
from mixlaw.wording import counted

EXPERIMENT = "mlflow.experiment"
"""The setting that holds the name of a run's experiment: `--where mlflow.experiment=NAME` takes its runs."""

RESERVED = "mlflow."


def own_tag(key: str, value: str) -> dict[str, str]:
    """A tag of the user's as a setting `tags.<key>`; none for the tags that MLflow sets itself."""
    return {} if key.startswith(RESERVED) else {f"tags.{key}": value}


def about_experiments(runs: Sequence[LoggedRun]) -> list[str]:
    """Which experiments the runs are of, if of several, and how to take one."""
    counts = Counter(str(run.settings[EXPERIMENT]) for run in runs)
    if len(counts) < 2:
        return []
    named = ", ".join(f"{name} ({counted(count, 'run')})" for name, count in sorted(counts.items()))
    return [f"experiments: {named}; --where {EXPERIMENT}=NAME takes the runs of one"]
