"""`mixlaw-mixture.json`: what was exported, from what, and in which unit, beside every exported file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixlaw.export.base import MEANING, Exporter
from mixlaw.export.prepare import Prepared
from mixlaw.export.sizes import Size
from mixlaw.files import read_json, sha256
from mixlaw.mixture import Mixture
from mixlaw.version import __version__

NAME = "mixlaw-mixture.json"
SCALE = ("params", "tokens", "epochs")
CLAIM = ("loss", "low", "high", "gap", "certified")
EVIDENCE = ("law", "law_sha256", "runs", "runs_sha256")


def origin(path: Path | str) -> dict[str, Any]:
    """What an optimum file says of its law, its run table and its certificate; of a mixture file only its hash."""
    content = read_json(path)
    kept = {}
    if isinstance(content, dict) and isinstance(content.get("mixture"), dict):
        kept = {key: content[key] for key in (*SCALE, *CLAIM, *EVIDENCE) if key in content}
    return {"file": Path(path).name, "sha256": sha256(path), **kept}


def sizes_behind(origin: Mapping[str, Any], mixture: Mixture) -> dict[str, Size]:
    """Available tokens that an optimum's epochs imply: proportion x budget / epochs; empty where it knows none."""
    epochs, budget = origin.get("epochs"), origin.get("tokens")
    if not (isinstance(epochs, Mapping) and isinstance(budget, int | float)):
        return {}
    proportions = mixture.as_dict()
    passes = {name: value for name, value in epochs.items() if isinstance(value, int | float) and value > 0}
    return {name: Size(proportions[name] * budget / value) for name, value in passes.items() if name in proportions}


def sidecar(
    exporter: Exporter,
    prepared: Prepared,
    stages: Mapping[int, Mixture],
    origins: Mapping[int, Mapping[str, Any]],
    budget_tokens: float | None,
) -> dict[str, Any]:
    """The record of one export, by stage: proportions of tokens beside the numbers that were written."""
    request = prepared.request
    return {
        "format": exporter.name,
        "mixlaw": __version__,
        "stages": [
            {
                "from": dict(origins[stage.start_step]),
                "mixture": stages[stage.start_step].as_dict(),
                "start_step": stage.start_step,
                "written": {source.domain: source.share for source in stage.sources},
            }
            for stage in request.stages
        ],
        "tokens": budget_tokens,
        "unit": str(request.unit),
        "unit_meaning": MEANING[request.unit],
        "warnings": list(prepared.notes),
    }
