"""A mixture as the configuration of whatever trains on it: one training framework a file."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mixlaw.errors import Refused, one_of
from mixlaw.export import (
    axolotl,
    energon,
    gpt_neox,
    huggingface,
    levanter,
    maxtext,
    megatron,
    nanotron,
    olmix,
    olmo_core,
    plain,
    streaming,
    torchtitan,
    trl,
)
from mixlaw.export.base import Exporter
from mixlaw.export.paths import as_places, read_paths
from mixlaw.export.prepare import prepare
from mixlaw.export.sizes import as_sizes, read_sizes
from mixlaw.mixture import Mixture, read_mixture

EXPORTERS: Mapping[str, Exporter] = {
    exporter.name: exporter
    for exporter in (
        huggingface.EXPORTER,
        megatron.BLEND,
        megatron.SPLITS,
        streaming.EXPORTER,
        olmo_core.EXPORTER,
        torchtitan.EXPORTER,
        levanter.EXPORTER,
        nanotron.EXPORTER,
        maxtext.EXPORTER,
        energon.EXPORTER,
        gpt_neox.EXPORTER,
        trl.EXPORTER,
        axolotl.EXPORTER,
        plain.JSON,
        plain.CSV,
        olmix.EXPORTER,
    )
}
"""Every exporter by the name that `--to` takes."""


class HasMixture(Protocol):
    """What has found a mixture: an optimum."""

    @property
    def mixture(self) -> Mixture:
        """Proportions of training tokens."""
        ...


def exporter_called(name: str) -> Exporter:
    """Look an exporter up; refuse an unknown name with the nearest one and all of them."""
    return EXPORTERS[one_of(name, tuple(EXPORTERS), "format")]


def export(
    mixture: Mixture | Mapping[str, float] | HasMixture | Path | str,
    to: str,
    *,
    paths: Mapping[str, Any] | Path | str | None = None,
    available: Mapping[str, Any] | Path | str | None = None,
    tokens: float | None = None,
    unit: str | None = None,
    later: Mapping[int, Mixture | Mapping[str, float]] | None = None,
) -> str:
    """Write a mixture as the data section of a training job, in the trainer's own unit.

    Args:
        mixture: proportions of training tokens, or an optimum or a file that holds them.
        to: a name among `EXPORTERS`.
        paths: `{domain: path}`, or the TOML file of it; without it the domains' names stand in, with a warning.
        available: `{domain: tokens}` or `{domain: {"tokens": ..., "documents": ...}}`, or a JSON file or a corpus.
        tokens: tokens to be trained on in all.
        unit: what the trainer's numbers count, where the format leaves a choice.
        later: mixtures that replace the first one, by the step from which they do, for trainers that have stages.

    Returns:
        The text of the file. What a user should know about it is issued as `UserWarning`.

    Raises:
        Refused: for an unknown format or unit, a domain without a path, sizes that are needed and not given, or stages
            that the trainer does not have.
    """
    exporter = exporter_called(to)
    if later and exporter.file_per_stage:
        raise Refused(f"{exporter.name} takes each stage from a file of its own; export one mixture at a time")
    prepared = prepare(
        exporter,
        {0: _mixture(mixture), **{step: _mixture(each) for step, each in (later or {}).items()}},
        places=_places(paths),
        sizes=read_sizes(available) if isinstance(available, str | Path) else as_sizes(available or {}),
        budget_tokens=tokens,
        unit=unit,
    )
    for note in prepared.notes:
        warnings.warn(f"{exporter.name}: {note}", stacklevel=2)
    return exporter.render(prepared.request)


def _mixture(given: Mixture | Mapping[str, float] | HasMixture | Path | str) -> Mixture:
    if isinstance(given, str | Path):
        return read_mixture(given)
    if isinstance(given, Mapping):
        return Mixture.of(given)
    return given if isinstance(given, Mixture) else given.mixture


def _places(given: Mapping[str, Any] | Path | str | None) -> Mapping[str, Any] | None:
    if given is None:
        return None
    return as_places(given) if isinstance(given, Mapping) else read_paths(given)
