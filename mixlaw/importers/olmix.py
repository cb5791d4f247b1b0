"""Olmix: a folder with `ratios.csv` and `metrics.csv`, joined by `run` or `run_id`."""

from pathlib import Path

from mixlaw.importers.base import Importer, Log, LoggedRun, Reading
from mixlaw.importers.pairs import join

FILES = ("ratios.csv", "metrics.csv")


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """Every column of the ratios is a domain, every column of the metrics a target, whatever they are called.

    Olmix's metrics are bits per byte, which is for the user to say: `--unit bits-per-byte`.
    """
    runs: tuple[LoggedRun, ...] = ()
    notes: tuple[str, ...] = ()
    for folder in dict.fromkeys(_folder(Path(source)) for source in sources):
        found, said = join(folder / FILES[0], folder / FILES[1], keys=("run", "run_id"))
        runs, notes = runs + found, notes + said
    targets = {name for run in runs for point in run.points for name in point}
    return Log(", ".join(sources), runs, tuple(f"loss.{name}={name}" for name in sorted(targets)), notes)


def _folder(path: Path) -> Path:
    """The folder of a swarm, of which either file may be named too."""
    return path.parent if path.name in FILES else path


IMPORTER = Importer(
    name="olmix",
    description="Olmix (a folder with ratios.csv and metrics.csv)",
    recognises=lambda path: all((_folder(path) / name).is_file() for name in FILES),
    read=read,
)
