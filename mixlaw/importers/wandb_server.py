"""Weights & Biases runs on a server: `entity/project`, read whole with `scan_history`."""

from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Reading, merge_steps, unique_names
from mixlaw.importers.nested import flatten
from mixlaw.importers.wandb_summary import about, with_summary

FINISHED = "finished"


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """All runs of the projects, with every logged row: `Run.history` would give a sample of them.

    Raises:
        Refused: without the wandb package, for a name that is not `entity/project`, or for what the server says.
    """
    try:
        import wandb
    except ImportError:
        raise Refused("reading from a Weights & Biases server needs wandb; install it with pip install wandb") from None
    found: list[tuple[LoggedRun, str]] = []
    for source in sources:
        project = source.removeprefix("wandb://").strip("/")
        if len(project.split("/")) != 2:
            raise Refused(f"'{source}' is no project of Weights & Biases; write entity/project")
        try:
            found += [(_run(run), str(run.id)) for run in wandb.Api(timeout=60).runs(project, order="+created_at")]
        except (wandb.errors.CommError, wandb.errors.UsageError, ValueError) as error:
            raise Refused(f"Weights & Biases does not give '{project}': {error}; log in with wandb login") from None
    names = unique_names((run.name, identifier) for run, identifier in found)
    runs = (
        LoggedRun(name, run.points, run.settings, run.unfinished) for name, (run, _) in zip(names, found, strict=True)
    )
    return Log(", ".join(sources), tuple(runs))


def _run(run: Any) -> LoggedRun:
    points = [
        {STEP: row["_step"], **{name: value for name, value in flatten(row).items() if not name.startswith("_")}}
        for row in run.scan_history()
        if "_step" in row
    ]
    settings = flatten({name: value for name, value in run.config.items() if not name.startswith("_")})
    settings |= about({"group": run.group, "job_type": run.job_type, "sweep": run.sweep_name})
    logged = with_summary(merge_steps(points)[0], run.summary_metrics)
    return LoggedRun(run.name, logged, settings, "" if run.state == FINISHED else run.state)


def _recognises(path: Path) -> bool:
    return path.as_posix().startswith("wandb:/")


IMPORTER = Importer(
    name="wandb",
    description="Weights & Biases runs on a server (wandb://entity/project)",
    recognises=_recognises,
    read=read,
)
