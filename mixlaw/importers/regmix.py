"""RegMix: a csv of mixtures (`train_<domain>`) and one of losses (`metric/<domain>_val_loss`), joined by `index`."""

from pathlib import Path

from mixlaw.errors import Refused
from mixlaw.importers.base import Importer, Log, LoggedRun, Reading
from mixlaw.importers.frames import read_frame
from mixlaw.importers.pairs import join

DOMAIN, LOSS = "train_", "metric/"
RULES = ("mix.*=mix.train_*", "loss.*=metric/*_val_loss")


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """One file with `train_` columns and one with `metric/` columns, in any order: RegMix's `train_mixture_1m.csv` and
    `train_pile_loss_1m.csv`, say. Neither params nor tokens stand in them."""
    mixtures = [Path(source) for source in sources if _has(Path(source), DOMAIN)]
    losses = [Path(source) for source in sources if _has(Path(source), LOSS)]
    if len(mixtures) != 1 or len(losses) != 1:
        raise Refused(
            f"RegMix has one file of mixtures (columns {DOMAIN}<domain>) and one of losses (columns "
            f"{LOSS}<domain>_val_loss); among {', '.join(sources)} there are {len(mixtures)} and {len(losses)}: "
            "name one of each, and import each pair by itself"
        )
    runs: tuple[LoggedRun, ...]
    runs, notes = join(mixtures[0], losses[0], keys=("index", "run", "run_id"))
    return Log(", ".join(sources), runs, RULES, notes)


def _has(path: Path, prefix: str) -> bool:
    return any(str(column).startswith(prefix) for column in read_frame(path).columns)


def _recognises(path: Path) -> bool:
    if not (path.is_file() and path.suffix.lower() == ".csv"):
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        names = file.readline().strip().split(",")
    return names[0] == "index" and all(name.startswith((DOMAIN, LOSS)) for name in names[1:])


IMPORTER = Importer(
    name="regmix",
    description="RegMix (a csv of mixtures and one of losses, joined by index)",
    recognises=_recognises,
    read=read,
)
