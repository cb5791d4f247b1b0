"""The run table: every measured loss, one row per checkpoint of one run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixlaw.cells import checked_names, checked_numbers, refuse_rows
from mixlaw.column_names import meant, misspelt, to_rename
from mixlaw.csv_files import about_semicolons
from mixlaw.errors import Refused, one_of
from mixlaw.files import sha256
from mixlaw.mixture import ROUNDING, Array, groups_of
from mixlaw.run_files import read_table, write_table
from mixlaw.stages import FINAL, FINAL_SHARE, check_final_phases, final_columns, in_two_stages
from mixlaw.wording import counted

MIX, LOSS, EPOCHS, BITS = "mix.", "loss.", "epochs.", "bpb."
"""What columns by domain (proportion, passes) and by target (nats a token, bits a byte) begin with."""

REQUIRED = ("run", "params", "tokens")
OPTIONAL = ("seed", "step", "lr", "group", "kind")
TOTAL = "(weighted)"
"""The target that predictions call the weighted total of all targets: no measured one has this name."""


@dataclass(frozen=True)
class RunTable:
    """A checked run table: one row a checkpoint of a run, in the order of the file.

    Attributes:
        frame: every column of the file; proportions of a row sum to 1, blank losses are NaN.
        domains: M names, in the order of their columns.
        targets: V names, likewise.
        source: the file, or what else the rows came from, as messages call it.
        sha256: of the file; empty where there was none.
        notes: what reading changed or left out.
        renormalised: whether proportions were to be divided by their sum however far off 1 it was.
    """

    frame: pd.DataFrame
    domains: tuple[str, ...]
    targets: tuple[str, ...]
    source: str = "run table"
    sha256: str = ""
    notes: tuple[str, ...] = ()
    renormalised: bool = False

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def runs(self) -> NDArray[np.object_]:
        """(n,) names of the runs the rows belong to."""
        return self.frame["run"].to_numpy(dtype=object)

    @property
    def params(self) -> Array:
        """(n,) non-embedding parameters N."""
        return self.frame["params"].to_numpy(dtype=float)

    @property
    def tokens(self) -> Array:
        """(n,) training tokens seen D."""
        return self.frame["tokens"].to_numpy(dtype=float)

    @property
    def proportions(self) -> Array:
        """(n, M) proportions in the order of `domains`; rows sum to 1."""
        return self.frame[[MIX + domain for domain in self.domains]].to_numpy(dtype=float)

    @property
    def losses(self) -> Array:
        """(n, V) losses in the order of `targets`, nats per token; NaN = not measured."""
        return self.frame[[LOSS + target for target in self.targets]].to_numpy(dtype=float)

    @property
    def mixtures(self) -> NDArray[np.int64]:
        """(n,) integer the same for rows that read the same: the groups that cross-validation keeps together."""
        if not self.in_two_stages.any():
            return groups_of(self.proportions)
        return groups_of(np.hstack([self.proportions, self.final_shares[:, None] * self.finals]))

    @property
    def in_two_stages(self) -> NDArray[np.bool_]:
        """(n,) whether a row is of a run whose last part read another mixture: no evidence on one mixture alone."""
        return in_two_stages(self.frame)

    @property
    def final_shares(self) -> Array:
        """(n,) share of the run's tokens that its final phase read; 0 for a run of one mixture."""
        if FINAL_SHARE not in self.frame:
            return np.zeros(len(self))
        return self.frame[FINAL_SHARE].fillna(0.0).to_numpy(dtype=float)

    @property
    def finals(self) -> Array:
        """(n, M) mixtures of the final phases; for a run of one mixture, that."""
        if not self.in_two_stages.any():
            return self.proportions
        finals = self.frame[[FINAL + domain for domain in self.domains]].to_numpy(dtype=float)
        return np.where(self.in_two_stages[:, None], finals, self.proportions)

    def where(self, keep: NDArray[np.bool_] | pd.Series) -> "RunTable":
        """The rows for which `keep` is true."""
        return replace(self, frame=self.frame[np.asarray(keep, dtype=bool)].reset_index(drop=True))

    def last(self) -> "RunTable":
        """The checkpoint with most tokens of each run."""
        return self.where(self.frame["tokens"] == self.frame.groupby("run")["tokens"].transform("max"))

    def with_targets(self, targets: Sequence[str]) -> "RunTable":
        """Keep only these targets, in this order; refuse names that are not in the table."""
        return replace(self, targets=tuple(one_of(target, self.targets, "target") for target in targets))


def read_runs(path: Path | str, *, renormalise: bool = False) -> RunTable:
    """Read a run table from `.csv`, `.parquet` or `.jsonl`.

    Args:
        path: the file; see the run table in the README for its columns.
        renormalise: divide proportions by their sum whatever it is, instead of refusing a sum off 1 by more than 0.005.

    Raises:
        Refused: naming file, row and column, what was found and what to do.
    """
    table = check_runs(read_table(path), source=str(path), digest=sha256(path), renormalise=renormalise)
    return replace(table, notes=(*about_semicolons(Path(path)), *table.notes))


def check_runs(
    frame: pd.DataFrame, *, source: str = "run table", digest: str = "", renormalise: bool = False
) -> RunTable:
    """Check a frame against the contract of the run table; `read_runs` is this after reading a file.

    Args:
        frame: a row a checkpoint, with the columns of the run table in the README; it is left as it is.
        source: what messages call it.
        digest: sha256 of the file it was read from.
        renormalise: as in `read_runs`.

    Raises:
        Refused: naming row (counted from 1 after the header) and column.
    """
    frame = frame.rename(columns=lambda name: str(name).strip()).reset_index(drop=True)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise Refused(f"{source}: column '{repeated[0]}' appears twice; keep one")
    domains = tuple(name.removeprefix(MIX) for name in frame.columns if name.startswith(MIX))
    targets = tuple(name.removeprefix(LOSS) for name in frame.columns if name.startswith(LOSS))
    _check_columns(frame, domains, targets, source)
    if not len(frame):
        raise Refused(f"{source} has a header but no rows; a run table has one row per checkpoint")
    frame = _checked_cells(frame, domains, targets, source)
    frame, rescaled = _normalise(frame, domains, source, renormalise)
    whole = frame[[MIX + domain for domain in domains]].to_numpy(dtype=float)
    frame = check_final_phases(frame, domains, whole, source, ROUNDING)
    frame, dropped = _one_row_per_checkpoint(frame, source)
    _same_within_run(frame, domains, source)
    notes = (*rescaled, *dropped, *_unused(list(frame.columns)))
    # Replacing columns one by one leaves pandas a frame in pieces, of which it warns from a hundred columns on.
    return RunTable(frame.copy(), domains, targets, source, digest, notes, renormalise)


def with_whole_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Parameters, tokens and steps as integers, where they all are, so that a file says 25000000 and not 25000000.0."""
    whole = [name for name in ("params", "tokens", "step") if name in frame and (frame[name] % 1 == 0).all()]
    return frame.astype(dict.fromkeys(whole, "int64"))


def write_runs(table: RunTable | pd.DataFrame, path: Path | str) -> None:
    """Write a run table whole or not at all, as its suffix says (csv, parquet, jsonl); floats read back exactly."""
    write_table(table.frame if isinstance(table, RunTable) else table, path)


def _check_columns(frame: pd.DataFrame, domains: tuple[str, ...], targets: tuple[str, ...], source: str) -> None:
    for name in (MIX, LOSS):
        if name in frame.columns:
            raise Refused(f"{source}: column '{name}' names nothing after its dot; write, say, {name}web")
    if TOTAL in targets:
        raise Refused(f"{source}: target '{TOTAL}' is what predictions call the weighted total; rename {LOSS}{TOTAL}")
    wrong = misspelt(list(frame.columns))
    if wrong:
        raise Refused(f"{source}: prefixes are 'mix.' and 'loss.' to the letter; rename {to_rename(wrong)}")
    lacking = [name for name in REQUIRED if name not in frame.columns]
    lacking += [] if domains else [MIX]
    lacking += [] if targets else [LOSS]
    if lacking:
        named = ", ".join({MIX: "mix.<domain>", LOSS: "loss.<target>"}.get(name, name) for name in lacking)
        found = ", ".join(frame.columns[:12]) + (", ..." if len(frame.columns) > 12 else "")
        near = meant(list(frame.columns), lacking)
        hint = f"rename {to_rename(near)}" if near else "rename the columns, or let mixlaw import do it"
        raise Refused(
            f"{source} has no column {named} (found: {found}); a run table has run, params, tokens, mix.<domain> and "
            f"loss.<target>: {hint}"
        )


def _checked_cells(
    frame: pd.DataFrame, domains: tuple[str, ...], targets: tuple[str, ...], source: str
) -> pd.DataFrame:
    """Names as text, all else that is read as finite numbers; blanks only where nothing needs the number."""
    columns = list(frame.columns)
    losses = [LOSS + target for target in targets]
    may_be_blank = [name for name in columns if name in ("step", "lr") or name.startswith(EPOCHS)]
    may_be_blank = [*losses, *may_be_blank, *final_columns(columns)]
    numeric = ["params", "tokens", *(MIX + domain for domain in domains), *may_be_blank]
    frame = frame.assign(**{name: checked_numbers(frame[name], name, source, name in may_be_blank) for name in numeric})
    frame["run"] = checked_names(frame["run"], "run", source)
    for name in ("params", "tokens"):
        refuse_rows(frame, frame[name] <= 0, name, source, "it must be positive")
    for name in losses:
        refuse_rows(frame, frame[name] <= 0, name, source, "a cross-entropy in nats is positive")
    return frame


def _unused(columns: list[str]) -> list[str]:
    known = {*REQUIRED, *OPTIONAL, *final_columns(columns)}
    unused = [name for name in columns if name not in known and not name.startswith((MIX, LOSS, EPOCHS, BITS))]
    return [f"columns kept but not used: {', '.join(unused)}"] if unused else []


def _normalise(
    frame: pd.DataFrame, domains: tuple[str, ...], source: str, renormalise: bool
) -> tuple[pd.DataFrame, list[str]]:
    columns = [MIX + domain for domain in domains]
    for name in columns:
        negative = frame[name] < 0
        refuse_rows(frame, negative, name, source, "it must be at least 0")
    sums = frame[columns].sum(axis=1)
    off = (sums - 1).abs() > ROUNDING
    if (sums <= 0).any():
        row = int(np.flatnonzero(sums <= 0)[0])
        raise Refused(f"{source}: row {row + 1} (run '{frame['run'].iloc[row]}'): every proportion is 0; correct them")
    if off.any() and not renormalise:
        row = int(np.flatnonzero(off)[0])
        hint = (
            "they look like percentages: divide by 100" if abs(sums.iloc[row] - 100) < 1 else "correct the proportions"
        )
        more = f" ({frame.loc[off, 'run'].nunique()} such runs)" if frame.loc[off, "run"].nunique() > 1 else ""
        raise Refused(
            f"{source}: row {row + 1}: mix.* of run '{frame['run'].iloc[row]}' sum to {sums.iloc[row]:.5g}, "
            f"not 1{more}; {hint}, or pass --renormalise to divide by the sum"
        )
    rounded = (sums - 1).abs() > 1e-6
    notes = []
    if rounded.any():
        notes.append(
            f"{int(rounded.sum())} of {counted(len(frame), 'row')} had proportions summing to between "
            f"{sums.min():.5g} and {sums.max():.5g}; divided by their sum"
        )
    divisor = sums.where((sums - 1).abs() > 1e-12, 1.0)  # so that a table that was written reads back to the same bits
    return frame.assign(**{name: frame[name] / divisor for name in columns}), notes


def _one_row_per_checkpoint(frame: pd.DataFrame, source: str) -> tuple[pd.DataFrame, list[str]]:
    same = frame.duplicated(keep="first")
    notes = [f"{counted(int(same.sum()), 'row')} dropped, exact repeats of another"] if same.any() else []
    numbered = frame[~same]
    twice = numbered.duplicated(["run", "tokens"], keep=False)
    if twice.any():
        first = numbered[twice].iloc[0]
        rows = numbered.index[(numbered["run"] == first["run"]) & (numbered["tokens"] == first["tokens"])] + 1
        raise Refused(
            f"{source}: rows {', '.join(map(str, rows[:4]))} are both run '{first['run']}' at "
            f"{first['tokens']:g} tokens but differ; keep one, or give repeats of a run their own names"
        )
    return numbered.reset_index(drop=True), notes


def _same_within_run(frame: pd.DataFrame, domains: tuple[str, ...], source: str) -> None:
    columns = [*(MIX + domain for domain in domains), "params", *final_columns(list(frame.columns))]
    by_run = frame[columns].fillna(0.0).groupby(frame["run"])
    wrong = by_run.max() - by_run.min() > 1e-6
    if wrong.to_numpy().any():
        row, place = np.argwhere(wrong.to_numpy())[0]
        run, column = str(wrong.index[row]), columns[place]
        values = sorted(frame.loc[frame["run"] == run, column].unique())
        raise Refused(
            f"{source}: run '{run}' has column '{column}' between {values[0]:g} and {values[-1]:g}; "
            "one run has one mixture and one size: give each its own run name"
        )
