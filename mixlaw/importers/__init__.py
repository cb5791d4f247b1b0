"""Logs of other tools as a run table: one source a file."""

import os
from collections.abc import Mapping
from pathlib import Path

from mixlaw.errors import Refused, one_of
from mixlaw.importers import (
    huggingface,
    lm_eval,
    mlflow_files,
    mlflow_sqlite,
    olmix,
    regmix,
    table,
    tensorboard,
    wandb_csv,
    wandb_offline,
    wandb_server,
)
from mixlaw.importers.base import Importer, Log, Reading
from mixlaw.importers.choices import listed
from mixlaw.importers.frames import SUFFIXES, kind_of
from mixlaw.wording import counted

IMPORTERS: Mapping[str, Importer] = {
    importer.name: importer
    for importer in (
        wandb_server.IMPORTER,
        wandb_offline.IMPORTER,
        wandb_csv.IMPORTER,
        mlflow_sqlite.IMPORTER,
        mlflow_files.IMPORTER,
        tensorboard.IMPORTER,
        huggingface.IMPORTER,
        lm_eval.IMPORTER,
        olmix.IMPORTER,
        regmix.IMPORTER,
        table.IMPORTER,
    )
}
"""Every importer by the name that `--from` takes."""


def read_log(sources: tuple[str, ...], kind: str | None = None, reading: Reading | None = None) -> Log:
    """Read every run of the sources, under the log's own names.

    Args:
        sources: files, folders, or `wandb://entity/project`.
        kind: a name among `IMPORTERS`; told by the sources' own signatures if absent.
        reading: what some importers must be told.

    Raises:
        Refused: for an unknown kind, a source that is not there or that several kinds recognise, or an empty log.
    """
    for source in sources:
        remote = kind == wandb_server.IMPORTER.name or wandb_server.IMPORTER.recognises(Path(source))
        if not remote and not Path(source).exists():
            raise Refused(f"{source} does not exist; check the path")
        if not remote and not os.access(source, os.R_OK):
            raise Refused(f"{source} cannot be read; check its permissions")
    importer = importer_of(sources, kind)
    log = importer.read(sources, reading or Reading())
    if not log.runs:
        raise Refused(f"{log.source}: no run was found; is it {importer.description}?")
    if not any(run.points for run in log.runs):
        said = "; ".join(log.notes) or f"is it {importer.description}?"
        raise Refused(f"{log.source}: {counted(len(log.runs), 'run')} found, but nothing was logged; {said}")
    return log


def importer_of(sources: tuple[str, ...], kind: str | None = None) -> Importer:
    """The importer of that name, or else the only one that recognises every source.

    A table of mixtures or losses of RegMix's is a table too; the more special kind is meant.
    """
    if kind is not None:
        return IMPORTERS[one_of(kind, tuple(IMPORTERS), "kind of log")]
    by_source = {source: _recognising(Path(source)) for source in sources}
    found = [importer for importer in IMPORTERS.values() if all(importer in kinds for kinds in by_source.values())]
    special = [importer for importer in found if importer is not table.IMPORTER] or found
    if len(special) == 1:
        return special[0]
    if not special and all(by_source.values()):
        each = "; ".join(f"{source} is {kinds[0].name}" for source, kinds in by_source.items())
        raise Refused(
            f"the sources are of several kinds: {each}; import each kind by itself, and join with mixlaw merge"
        )
    kinds = "; ".join(f"{importer.name}: {importer.description}" for importer in special or IMPORTERS.values())
    if special:
        raise Refused(f"{', '.join(sources)} holds several kinds of log; say which with --from. {kinds}")
    lost = next(source for source, known in by_source.items() if not known)
    tables = sorted(file.name for file in Path(lost).glob("*") if kind_of(file) in SUFFIXES)
    hint = f"; name its tables one by one: {listed(tables, 4)}" if tables else ""
    raise Refused(f"{lost} holds no kind of log that is known{hint}; say which with --from. {kinds}")


def _recognising(path: Path) -> list[Importer]:
    return [importer for importer in IMPORTERS.values() if importer.recognises(path)]
