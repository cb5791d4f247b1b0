"""What the user says of runs apart from their log: the file that `--runs` names."""

from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.frames import read_frame
from mixlaw.mixture import Mixture
from mixlaw.runs import MIX

FACTS = ("params", "tokens", "seed", "lr")


def read_given(path: Path, *, renormalise: bool = False) -> dict[str, dict[str, float]]:
    """Read a mixtures file, one row a run: `run` or `name`, a column a domain, and params, tokens, seed, lr if wanted.

    Args:
        path: of the file.
        renormalise: divide proportions by their sum, whatever it is.

    Returns:
        Columns of the run table by run; proportions are called `mix.<domain>`.

    Raises:
        Refused: naming the file and the run.
    """
    frame = read_frame(path)
    key = next((name for name in ("run", "name") if name in frame), None)
    if key is None:
        raise Refused(f"{path} has no column run or name; say which run each row is")
    domains = {name: name.removeprefix(MIX) for name in map(str, frame.columns) if name not in ("run", "name", *FACTS)}
    if not domains:
        raise Refused(f"{path} has no column of proportions; write one a domain")
    given: dict[str, dict[str, float]] = {}
    for row in frame.astype({key: str}).to_dict("records"):
        run = str(row[key])
        if run in given:
            raise Refused(f"{path}: run '{run}' stands twice; keep one")
        shares = {domain: row[name] for name, domain in domains.items()}
        try:
            mixture = Mixture.of(_divided(shares) if renormalise else shares)
        except Refused as error:
            raise Refused(f"{path}: run '{run}': {error}") from None
        facts = {name: float(row[name]) for name in FACTS if name in row and row[name] == row[name]}
        given[run] = facts | {MIX + domain: value for domain, value in mixture.as_dict().items()}
    return given


def _divided(shares: dict[str, Any]) -> dict[str, Any]:
    """Shares divided by their sum; as they are where one is no number or nothing is left to divide by."""
    numeric = all(isinstance(share, int | float) for share in shares.values())
    total = sum(shares.values()) if numeric else 0
    return {domain: share / total for domain, share in shares.items()} if total > 0 else shares
