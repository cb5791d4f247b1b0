"""lm-evaluation-harness: `<output>/<model>/results_<time>.json`, or `<output>/results.json` of older versions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.base import Importer, Log, LoggedRun, Reading, folder_names
from mixlaw.importers.choices import listed
from mixlaw.importers.logged_json import read_logged_json


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """Each folder of results is a run; of a task that stands in several results of a folder the latest by name counts.

    A folder is called after the model, so runs whose models have one name are told apart by the folders above. A file
    of another name than the harness gives is a run by itself, if it is named as a source.

    Metrics are called `task/metric`, or `task/metric,filter` for a filter other than `none`. Neither mixture nor tokens
    nor params stand in the results: `--runs` and the like must say them. Standard errors are left out.
    """
    tasks: dict[Path, dict[str, Mapping[str, Any]]] = {}
    notes: list[str] = []
    for file in sorted({file for source in sources for file in _files(Path(source))}):
        place = file.parent if file.match("results*.json") else file.with_suffix("")
        found, held = _tasks(file), tasks.setdefault(place, {})
        again = [task for task in found if task in held]
        if again:
            notes.append(f"{place.name}: of {listed(again)} the results before {file.name} are left out")
        held.update(found)
    places = sorted(tasks)
    names = folder_names(places, [Path(source) for source in sources], short=True)
    runs = tuple(LoggedRun(name, (_point(tasks[place]),)) for place, name in zip(places, names, strict=True))
    return Log(", ".join(sources), runs, notes=tuple(notes))


def _files(path: Path) -> list[Path]:
    """Results by the names that the harness gives: `results_<time>.json`, and before 0.4.3 `results.json`."""
    if path.is_file():
        return [path]
    return sorted({*path.rglob("results_*.json"), *(file for file in path.rglob("results.json") if _is_result(file))})


def _is_result(file: Path) -> bool:
    try:
        content = read_logged_json(file)
    except Refused:
        return False
    return isinstance(content, dict) and {"results", "versions", "config"} <= content.keys()


def _tasks(file: Path) -> Mapping[str, Mapping[str, Any]]:
    """The metrics of every task of one file of results."""
    content = read_logged_json(file)
    results = content.get("results") if isinstance(content, dict) else None
    if not (isinstance(results, dict) and all(isinstance(metrics, dict) for metrics in results.values())):
        raise Refused(f"{file} is no result of lm-evaluation-harness: it has no 'results'")
    return results


def _point(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    point = {}
    for task, metrics in tasks.items():
        for name, value in metrics.items():
            metric, _, filtered = name.partition(",")
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            if numeric and not metric.endswith("_stderr"):
                point[f"{task}/{metric}" + (f",{filtered}" if filtered not in ("", "none") else "")] = value
    return point


IMPORTER = Importer(
    name="lm-eval",
    description="lm-evaluation-harness results (folders with results_*.json)",
    recognises=lambda path: (
        bool(_files(path))
        if path.is_dir()
        else path.match("results_*.json") or (path.name == "results.json" and _is_result(path))
    ),
    read=read,
)
