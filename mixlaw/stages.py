"""Runs whose last part read another mixture: the columns of a run table that say so.

`mix.<domain>` stays what the whole run read. `final_share` is the share s of its tokens that the final phase read, and
`final.<domain>` their mixture r2, so the phase before it read (mix - s r2) / (1 - s). Both are blank for a run that
read one mixture throughout.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mixlaw.errors import Refused, one_of

FINAL, FINAL_SHARE = "final.", "final_share"


def final_columns(columns: Sequence[str]) -> list[str]:
    """The columns of final phases; `final.*` mean something else where there is no `final_share`."""
    if FINAL_SHARE not in columns:
        return []
    return [FINAL_SHARE, *(name for name in columns if name.startswith(FINAL))]


def in_two_stages(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """(n,) whether a row is of a run whose last part read another mixture."""
    if FINAL_SHARE not in frame:
        return np.zeros(len(frame), dtype=bool)
    return frame[FINAL_SHARE].notna().to_numpy()


def check_final_phases(
    frame: pd.DataFrame, domains: Sequence[str], whole: NDArray[np.float64], source: str, rounding: float
) -> pd.DataFrame:
    """Check final phases row by row against the mixture of the whole run, and rescale them to sum to 1.

    Args:
        frame: n rows of numbers.
        domains: M names.
        whole: (n, M), proportions of the whole run, which sum to 1.
        source: what the rows were read from.
        rounding: how far sums and shares may be off.

    Raises:
        Refused: naming the row, for a share that is none, a final mixture that does not sum to 1, one without the
            other, or a final phase that alone read more of a domain than the whole run.
    """
    columns = [name for name in final_columns(list(frame.columns)) if name != FINAL_SHARE]
    if FINAL_SHARE not in frame:
        return frame
    for name in columns:
        one_of(name.removeprefix(FINAL), tuple(domains), f"domain of {source}'s final.* columns")
    lacking = [FINAL + domain for domain in domains if FINAL + domain not in columns]
    if lacking and frame[FINAL_SHARE].notna().any():
        raise Refused(f"{source} has final_share but no column {', '.join(lacking[:4])}; give the final mixture whole")
    wanted = [FINAL + domain for domain in domains if FINAL + domain in columns]
    shares, finals = frame[FINAL_SHARE].to_numpy(dtype=float), frame[wanted].to_numpy(dtype=float)
    for row in np.flatnonzero(~np.isnan(shares) | ~np.isnan(finals).all(axis=1)).tolist():
        place = f"{source}: row {row + 1} (run '{frame['run'].iloc[row]}')"
        if np.isnan(shares[row]):
            raise Refused(f"{place} has a final mixture but no final_share; give the share of tokens that read it")
        _check(place, float(shares[row]), finals[row], whole[row], domains, rounding)
    sums = frame[wanted].sum(axis=1)
    divisor = sums.where((sums - 1).abs() > 1e-12, 1.0)
    return frame.assign(**{name: frame[name] / divisor for name in wanted})


def _check(
    place: str,
    share: float,
    final: NDArray[np.float64],
    whole: NDArray[np.float64],
    domains: Sequence[str],
    rounding: float,
) -> None:
    if not 0 < share < 1:
        raise Refused(
            f"{place}: final_share is {share:g}; it lies between 0 and 1, and is blank for a run of one mixture"
        )
    if np.isnan(final).any() or (final < 0).any() or abs(final.sum() - 1) > rounding:
        raise Refused(
            f"{place}: final.* sum to {np.nansum(final):.5g} with {int(np.isnan(final).sum())} blank; they are "
            "proportions of at least 0 that sum to 1"
        )
    over = share * final / final.sum() - whole
    worst = int(over.argmax())
    if over[worst] > rounding:
        raise Refused(
            f"{place}: its final phase alone read {share * final[worst]:.4g} of the run's tokens from "
            f"'{domains[worst]}' (final_share {share:g} x {final[worst]:.4g}), but mix.{domains[worst]} is "
            f"{whole[worst]:.4g} of the whole run; mix.* counts both phases"
        )
