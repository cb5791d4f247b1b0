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
    found = [
        importer for importer in IMPORTERS.values() if all(importer.recognises(Path(source)) for source in sources)
    ]
    special = [importer for importer in found if importer is not table.IMPORTER] or found
    if len(special) == 1:
        return special[0]
    kinds = "; ".join(f"{importer.name}: {importer.description}" for importer in special or IMPORTERS.values())
    what = "several kinds of log" if special else "no kind of log that is known"
    raise Refused(f"{', '.join(sources)} holds {what}; say which with --from. {kinds}")
