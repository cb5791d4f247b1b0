"""Losses by size and tokens alone, as papers on scaling publish them: points without run names or mixtures."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from mixlaw.cells import checked_numbers, refuse_rows
from mixlaw.mixture import Array
from mixlaw.runs import LOSS, MIX

FLOP = ("flop", "flops")
FLOP_PER_TOKEN = 6
"""Operations of training per parameter and token (Kaplan et al. 2020, 2001.08361)."""


@dataclass(frozen=True)
class LossPoints:
    """Losses of trained models, known by size and tokens.

    Attributes:
        source: the file.
        params, tokens: (n,) each.
        losses: (n,) by the name of their column, nats per token; NaN = not measured.
        tokens_from: the column that tokens were read or worked out from.
    """

    source: str
    params: Array
    tokens: Array
    losses: dict[str, Array]
    tokens_from: str

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values; a loss that was not measured is null."""
        content = asdict(self) | {"params": self.params.tolist(), "tokens": self.tokens.tolist()}
        known = {name: pd.Series(losses, dtype=object) for name, losses in self.losses.items()}
        return content | {
            "losses": {name: losses.where(losses.notna(), None).tolist() for name, losses in known.items()}
        }


def are_loss_points(frame: pd.DataFrame) -> bool:
    """Whether a table holds such points: params, tokens or flop, and losses, but neither runs nor mixtures."""
    columns = [str(name).strip() for name in frame.columns]
    runs = "run" in columns or any(name.lower().startswith(MIX[:-1]) for name in columns)
    return not runs and "params" in columns and bool({"tokens", *FLOP} & {*columns}) and bool(_losses(columns))


def loss_points(frame: pd.DataFrame, source: str) -> LossPoints:
    """Read such points; tokens that are not given are flop / (6 params).

    Raises:
        Refused: naming row and column of what is no positive number.
    """
    frame = frame.rename(columns=lambda name: str(name).strip()).reset_index(drop=True)
    counts = "tokens" if "tokens" in frame else next(name for name in FLOP if name in frame)
    losses = _losses(list(frame.columns))
    for name in ("params", counts, *losses):
        frame[name] = checked_numbers(frame[name], name, source, name in losses)
        refuse_rows(frame, frame[name] <= 0, name, source, "it must be positive")
    params, counted = frame["params"].to_numpy(dtype=float), frame[counts].to_numpy(dtype=float)
    tokens = counted if counts == "tokens" else counted / (FLOP_PER_TOKEN * params)
    return LossPoints(source, params, tokens, {name: frame[name].to_numpy(dtype=float) for name in losses}, counts)


def _losses(columns: list[str]) -> list[str]:
    return [name for name in columns if name == LOSS[:-1] or name.startswith(LOSS)]
