"""lm-evaluation-harness: `<output>/<model>/results_<time>.json`."""

from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.base import Importer, Log, LoggedRun, Reading, folder_names
from mixlaw.importers.logged_json import read_logged_json


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """Each folder of results is a run; of several results in one folder the latest by name counts.

    A folder is called after the model, so runs whose models have one name are told apart by the folders above.

    Metrics are called `task/metric`, or `task/metric,filter` for a filter other than `none`. Neither mixture nor tokens
    nor params stand in the results: `--runs` and the like must say them. Standard errors are left out.
    """
    latest: dict[Path, Path] = {}
    notes: list[str] = []
    for file in sorted({file for source in sources for file in _files(Path(source))}):
        if file.parent in latest:
            notes.append(f"{latest[file.parent].name} of {file.parent.name} is older than {file.name}; left out")
        latest[file.parent] = file
    folders = sorted(latest)
    names = folder_names(folders, [Path(source) for source in sources], short=True)
    runs = tuple(LoggedRun(name, (_point(latest[folder]),)) for folder, name in zip(folders, names, strict=True))
    return Log(", ".join(sources), runs, notes=tuple(notes))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("results_*.json"))


def _point(file: Path) -> dict[str, Any]:
    content = read_logged_json(file)
    results = content.get("results") if isinstance(content, dict) else None
    if not (isinstance(results, dict) and all(isinstance(metrics, dict) for metrics in results.values())):
        raise Refused(f"{file} is no result of lm-evaluation-harness: it has no 'results'")
    point = {}
    for task, metrics in results.items():
        for name, value in metrics.items():
            metric, _, filtered = name.partition(",")
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            if numeric and not metric.endswith("_stderr"):
                point[f"{task}/{metric}" + (f",{filtered}" if filtered not in ("", "none") else "")] = value
    return point


IMPORTER = Importer(
    name="lm-eval",
    description="lm-evaluation-harness results (folders with results_*.json)",
    recognises=lambda path: bool(_files(path)) if path.is_dir() else path.match("results_*.json"),
    read=read,
)
