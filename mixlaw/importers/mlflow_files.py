"""MLflow's old file store: `mlruns/<experiment>/<run>/{meta.yaml,params,metrics}`."""

from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.files import read_text
from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Reading, merge_steps, unique_names
from mixlaw.importers.mlflow_names import EXPERIMENT, about_experiments, own_tag
from mixlaw.importers.nested import as_settings
from mixlaw.wording import logged_again

UNFINISHED = {"1": "running", "2": "not started", "4": "failed", "5": "killed"}


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """All runs that have not been deleted."""
    folders = sorted({folder for source in sources for folder in _folders(Path(source))})
    found: list[LoggedRun] = []
    identifiers: list[str] = []
    notes: list[str] = []
    for folder in folders:
        facts = _facts(folder / "meta.yaml")
        if facts.get("lifecycle_stage", "active") != "active" or "model_id" in facts:
            continue  # deleted; or a model of MLflow 3, which repeats metrics of the run that logged it
        texts = _texts(folder / "params")
        for tag, value in _texts(folder / "tags").items():
            texts |= own_tag(tag, value)
        settings = as_settings(texts) | {EXPERIMENT: _facts(folder.parent / "meta.yaml").get("name", "")}
        points = [point for file in _below(folder / "metrics") for point in _points(folder / "metrics", file)]
        merged, replaced = merge_steps(points)
        name = facts.get("run_name") or folder.name
        if replaced:
            notes.append(f"{name}: {logged_again(replaced)}")
        found.append(LoggedRun(name, merged, settings, UNFINISHED.get(facts.get("status", ""), "")))
        identifiers.append(folder.name)
    names = unique_names((run.name, identifier) for run, identifier in zip(found, identifiers, strict=True))
    runs = tuple(
        LoggedRun(name, run.points, run.settings, run.unfinished) for name, run in zip(names, found, strict=True)
    )
    return Log(", ".join(sources), runs, notes=(*about_experiments(runs), *notes))


def _folders(path: Path) -> list[Path]:
    return [meta.parent for meta in sorted(path.rglob("meta.yaml")) if (meta.parent / "metrics").is_dir()]


def _below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _texts(folder: Path) -> dict[str, str]:
    return {_key(folder, file): read_text(file) for file in _below(folder)}


def _key(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()


def _facts(meta: Path) -> dict[str, str]:
    """The flat `name: value` lines of a run's or an experiment's meta.yaml; none where there is no such file."""
    if not meta.is_file():
        return {}
    pairs = (line.partition(": ") for line in read_text(meta).splitlines())
    return {name: value.strip().strip("'\"") for name, found, value in pairs if found}


def _points(folder: Path, file: Path) -> list[dict[str, Any]]:
    points = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        try:
            _, value, step = line.split()[:3]
            points.append({STEP: int(step), _key(folder, file): float(value)})
        except ValueError:
            raise Refused(f"{file}: line {number} is '{line}', not 'time value step'; correct or delete it") from None
    return points


IMPORTER = Importer(
    name="mlflow-files",
    description="MLflow's old file store (a folder mlruns)",
    recognises=lambda path: path.is_dir() and bool(_folders(path)),
    read=read,
)
