"""The page of a run table by itself: what was trained and measured, before any law."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mixlaw.mixture import Array
from mixlaw.report.page import Section, render
from mixlaw.report.sections.coverage import coverage
from mixlaw.report.sections.curves import associations, curves, targets
from mixlaw.report.sections.made import made, reported
from mixlaw.report.style import styled
from mixlaw.runs import RunTable
from mixlaw.surfaces.single import common_scale
from mixlaw.survey import survey
from mixlaw.weights import weights_of
from mixlaw.wording import counted


def runs_page(
    runs: RunTable,
    path: Path,
    *,
    weights: Mapping[str, float] | None = None,
    files: Mapping[str, Path] | None = None,
) -> str:
    """One self-contained HTML page of a run table.

    Args:
        runs: read from `path`.
        path: of the file, for its hash and the commands.
        weights: importance of targets; equal by default.
        files: flag -> file that the weights were read from, for its hash and the command.

    Raises:
        Refused: for weights of unknown targets.
    """
    importance = weights_of(weights, runs.targets)
    found = survey(runs)
    with styled():
        sections = [targets(found)]
        if np.isfinite(runs.losses).any():
            sections += [_mixtures(runs, importance), curves(runs, weights)]
            together = associations(runs)
            sections += [] if together is None else [together]
        else:
            sections.append(coverage(runs.domains, runs.last().proportions, {}))
        read = files or {}
        sections.append(made([path, *read.values()], {}, [f"mixlaw check {path.name}", reported(path, read)]))
    lead = [
        f"{counted(found.runs, 'run')} of {counted(found.mixtures, 'mixture')} of "
        f"{counted(len(runs.domains), 'domain')}, {counted(len(runs.targets), 'target')}, as measured. The next step "
        f"is a law: mixlaw fit {path.name}."
    ]
    return render(f"{path.name}: runs as measured", lead, sections)


def _mixtures(runs: RunTable, importance: Array) -> Section:
    _, _, part = common_scale(runs)
    counting = importance > 0
    return coverage(runs.domains, part.proportions, {}, part.losses[:, counting] @ importance[counting])
