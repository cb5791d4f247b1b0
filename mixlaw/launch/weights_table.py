"""The table of weights over time: what every run whose weights move read by and was weighed by, step for step."""

from pathlib import Path

import pandas as pd

from mixlaw.files import replacing
from mixlaw.study_files import RECORDS, WEIGHTS_OVER_TIME
from mixlaw.train.records import read_records

KINDS = ("mix.", "weight.", "average.", "target.")
"""Columns by domain or target: read by; weighed by; mean of the weights so far; weight of a target."""


def weights_over_time(folder: Path) -> pd.DataFrame:
    """One row per run and step written down, from the records of a study; empty if nothing moved.

    `mix.<domain>` is what the step was read by; `weight.<domain>` the weights of the online method after it and
    `average.<domain>` their mean so far; `target.<name>` the weights of targets; `effective_samples` the mean effective
    sample size of the batches since the row before, and `over_cap` the share of them in which a sequence weighed more
    than twice the mean, beyond which the theory of sample weights does not reach.
    """
    recorded = read_records(folder / RECORDS).weights
    rows = [row for run in sorted(recorded) for _, row in sorted(recorded[run].items())]
    if not rows:
        return pd.DataFrame(columns=["run", "step", "tokens"])
    frame = pd.DataFrame(rows)
    by_kind = [name for kind in KINDS for name in frame.columns if name.startswith(kind)]
    rest = [name for name in frame.columns if name not in ("run", "step", "tokens", *by_kind)]
    return frame[["run", "step", "tokens", *by_kind, *rest]]


def write_weights(folder: Path) -> Path | None:
    """Write `weights_over_time.csv` into a study's folder; None, and no file, if nothing moved."""
    frame = weights_over_time(folder)
    if frame.empty:
        return None
    path = folder / WEIGHTS_OVER_TIME
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    return path
