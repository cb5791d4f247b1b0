"""Laws on file: `law.json`, checked when it is read."""

from collections.abc import Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from mixlaw.errors import Refused, one_of
from mixlaw.files import read_json, write_json
from mixlaw.fitting.asked import Asked
from mixlaw.fitting.diagnose import Diagnostics
from mixlaw.fitting.law import Evidence, Law
from mixlaw.run_files import SUFFIXES
from mixlaw.surfaces import SURFACES
from mixlaw.version import __version__
from mixlaw.wanted import mistake


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LawFile:
    """What `law.json` holds.

    Attributes:
        kind, scale: the mixing law, and how it crosses scales.
        domains, targets: names.
        parameters: of the surface; with the mixtures it rests on, so that no covariance need be kept.
        evidence, diagnostics: see `Evidence` and `Diagnostics`.
        version: of mixlaw that wrote it.
        fixed: domain -> its proportion in every run, for domains whose effect is not known; absent if there is none.
        asked: what the fit was asked for, see `Asked`; what was left at its default is absent.
    """

    kind: str
    scale: str
    domains: tuple[str, ...]
    targets: tuple[str, ...]
    parameters: dict[str, Any]
    evidence: Evidence
    diagnostics: Diagnostics
    version: str
    fixed: dict[str, float] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)


SCHEMA = TypeAdapter(LawFile)

DEFAULTS = asdict(Asked())

SUMS_TO_ONE = 1e-6
"""How far from 1 the proportions of a run may sum: those of a run table are divided by their sum."""


def write_law(law: Law, path: Path | str) -> None:
    """Write a law whole or not at all: sorted keys, floats that read back to the same bits."""
    content = {
        "kind": law.kind,
        "scale": law.scale,
        "domains": list(law.domains),
        "targets": list(law.targets),
        "parameters": law.surface.parameters(),
        "evidence": asdict(law.evidence),
        "diagnostics": asdict(law.diagnostics),
        "version": law.version,
    }
    asked = {key: value for key, value in asdict(law.asked).items() if value != DEFAULTS[key]}
    optional = {"fixed": dict(law.fixed), "asked": asked}
    write_json(path, content | {key: value for key, value in optional.items() if value})


def read_law(path: Path | str) -> Law:
    """Read a law that `write_law` wrote.

    Raises:
        Refused: for a file that is not a law, is written by a newer version, or was changed by hand so that it does not
            hold together; naming the file and the place.
    """
    if Path(path).suffix.lower() in SUFFIXES:
        raise Refused(f"{path} is a table, not a law; fit one to it first: mixlaw fit {path} -o law.json")
    content = read_json(path)
    if not isinstance(content, dict) or not {"kind", "scale", "version"} <= content.keys():
        raise Refused(f"{path} is not a law; write one with mixlaw fit RUNS -o law.json")
    _check_version(str(content["version"]), path)
    try:
        file = SCHEMA.validate_python(content)
        with np.errstate(all="ignore"):  # what comes of parameters out of their range is looked at, and refused by name
            return _rebuilt(file)
    except ValidationError as error:
        raise Refused(f"{path}: {mistake(error.errors()[0])}: run mixlaw fit again") from None
    except Refused as error:
        raise Refused(f"{path}: {error}") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise Refused(f"{path}: the law's parameters do not hold together ({why}); run mixlaw fit again") from error


def _rebuilt(file: LawFile) -> Law:
    surface = SURFACES[one_of(file.scale, list(SURFACES), "scale")]
    rebuilt = surface.from_parameters(file.domains, file.targets, file.parameters)
    law = Law(file.kind, rebuilt, file.evidence, file.diagnostics, file.version, file.fixed, file.asked)
    _check_shapes(law)
    return law


def _check_version(version: str, path: Path | str) -> None:
    """Refuse files of a newer release: patches (the third number) change no file."""
    try:
        release = tuple(int(number) for number in version.split(".")[:2])
    except ValueError:
        raise Refused(f"{path}: version is '{version}', not one of mixlaw; run mixlaw fit again") from None
    if release > tuple(int(number) for number in __version__.split(".")[:2]):
        raise Refused(f"{path} was written by mixlaw {version}, newer than this one ({__version__}); update mixlaw")


def _check_shapes(law: Law) -> None:
    """Refuse evidence that does not fit the law's domains and targets, and a law that predicts no number."""
    for names, what in ((law.domains, "domain"), (law.targets, "target")):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise Refused(f"{what} '{twice[0]}' is named twice; run mixlaw fit again")
    evidence, domains, targets = law.evidence, len(law.domains), len(law.targets)
    columns: Mapping[str, int] = {
        "names": len(evidence.names),
        "params": len(evidence.params),
        "tokens": len(evidence.tokens),
        "proportions": len(evidence.proportions),
        "losses": len(evidence.losses),
    }
    for name, count in columns.items():
        if count != evidence.runs or not count:
            raise Refused(f"evidence.{name} holds {count} of {evidence.runs} runs; run mixlaw fit again")
    if any(len(row) != domains for row in evidence.proportions) or any(len(row) != targets for row in evidence.losses):
        raise Refused(f"a run of the evidence has not {domains} proportions and {targets} losses; run mixlaw fit again")
    sums = evidence.mixtures.sum(axis=1)
    if not np.allclose(sums, 1, rtol=0, atol=SUMS_TO_ONE):
        worst = int(np.abs(sums - 1).argmax())
        raise Refused(
            f"the proportions of run '{evidence.names[worst]}' in the evidence sum to {sums[worst]:.6g}, not 1; run "
            "mixlaw fit again"
        )
    for domain in law.fixed:
        one_of(domain, law.domains, "domain")
    predicted = law.surface.at().fit.law.predict(evidence.mixtures)
    if predicted.shape != (evidence.runs, targets) or not np.isfinite(predicted).all():
        raise Refused("the law predicts losses that are not numbers; run mixlaw fit again")
