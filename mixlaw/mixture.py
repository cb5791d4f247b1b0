"""Named proportions on the simplex."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from mixlaw.csv_files import read_csv
from mixlaw.errors import Refused, naming, one_of
from mixlaw.files import read_json, replacing

Array = NDArray[np.float64]

ROUNDING = 0.005
"""How far a row of proportions may be from summing to 1 and still be read as rounding."""

EXACT = 1e-12
"""How far a sum of proportions may be from 1 by the arithmetic alone."""

SAME_MIXTURE = 0.001
"""Share of tokens by which repeats of one mixture may differ: half the sum of absolute differences."""


TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
"""Suffixes of files that hold many mixtures, if any."""


@dataclass(frozen=True)
class Mixture:
    """One proportion per domain; proportions are shares of training tokens, at least 0, and sum to 1.

    Args:
        domains: names, each once.
        proportions: one float per domain, in the same order.

    Raises:
        Refused: for a repeated domain, a proportion that is negative or not finite, or a sum off 1 by more than 1e-6.
    """

    domains: tuple[str, ...]
    proportions: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.domains) != len(self.proportions) or not self.domains:
            raise Refused(
                f"a mixture needs one proportion per domain; got {len(self.proportions)} for {len(self.domains)}"
            )
        if len(set(self.domains)) < len(self.domains):
            repeated = next(name for name in self.domains if self.domains.count(name) > 1)
            raise Refused(f"domain '{repeated}' appears twice in one mixture; keep one")
        for domain, proportion in zip(self.domains, self.proportions, strict=True):
            if not (np.isfinite(proportion) and proportion >= 0):
                raise Refused(f"the proportion of '{domain}' is {proportion}; it must be a number of at least 0")
        total = float(sum(self.proportions))
        if abs(total - 1) > 1e-6:
            raise Refused(f"the proportions sum to {total:.6g}, not 1; correct them")

    @classmethod
    def of(cls, proportions: Mapping[str, float]) -> "Mixture":
        """Read `{domain: proportion}`; a sum within 0.005 of 1 is taken as rounding and divided out.

        Proportions that sum to 1 to twelve digits are left as they are, so that a mixture reads back to the last bit.

        Raises:
            Refused: for a value that is not a number, or a sum further from 1.
        """
        numbers: dict[str, float] = {}
        for domain, proportion in proportions.items():
            if isinstance(proportion, bool) or not isinstance(proportion, Real):
                raise Refused(f"the proportion of '{domain}' is {proportion!r}; it must be a number")
            if not (np.isfinite(proportion) and proportion >= 0):
                raise Refused(f"the proportion of '{domain}' is {proportion}; it must be a number of at least 0")
            numbers[str(domain)] = float(proportion)
        total = sum(numbers.values())
        if abs(total - 1) > ROUNDING:
            hint = "; they look like percentages: divide by 100" if abs(total - 100) < 1 else "; correct them"
            raise Refused(f"the proportions of {', '.join(numbers) or 'no domain'} sum to {total:.6g}, not 1{hint}")
        divisor = 1.0 if abs(total - 1) <= EXACT else total
        return cls(tuple(numbers), tuple(value / divisor for value in numbers.values()))

    @classmethod
    def uniform(cls, domains: Sequence[str]) -> "Mixture":
        """The same proportion of every domain."""
        return cls(tuple(domains), (1 / len(domains),) * len(domains))

    @classmethod
    def natural(cls, tokens: Mapping[str, float]) -> "Mixture":
        """Proportions equal to token shares: the mixture of sampling documents without regard to domain."""
        if any(not (np.isfinite(count) and count >= 0) for count in tokens.values()) or not sum(tokens.values()):
            raise Refused(f"token counts must be numbers of at least 0, one of them positive; got {dict(tokens)}")
        total = sum(tokens.values())
        return cls(tuple(tokens), tuple(count / total for count in tokens.values()))

    def as_dict(self) -> dict[str, float]:
        """`{domain: proportion}`, the form of a mixture file."""
        return dict(zip(self.domains, self.proportions, strict=True))

    def aligned(self, domains: Sequence[str]) -> Array:
        """Proportions in the order of `domains`, shape (M,); a domain the mixture does not name has proportion 0.

        Raises:
            Refused: if the mixture names a domain that is not in `domains`.
        """
        for domain in self.domains:
            one_of(domain, domains, "domain")
        named = self.as_dict()
        return np.array([named.get(domain, 0.0) for domain in domains])

    def epochs(self, budget_tokens: float, available: Mapping[str, float]) -> dict[str, float]:
        """Passes over each domain when `budget_tokens` are trained on: proportion x budget / available tokens.

        Raises:
            Refused: if a domain with a positive proportion has no available tokens.
        """
        passes = {}
        for domain, proportion in self.as_dict().items():
            tokens = available.get(domain, 0)
            if proportion > 0 and tokens <= 0:
                raise Refused(f"the mixture takes {proportion:.4g} of '{domain}', which has no available tokens")
            passes[domain] = proportion * budget_tokens / tokens if proportion > 0 else 0.0
        return passes

    def rounded(self, decimals: int) -> "Mixture":
        """The nearest mixture with that many decimals, by largest remainder; it still sums to 1."""
        scale = 10**decimals
        scaled = np.array(self.proportions) / math.fsum(self.proportions) * scale
        units = np.floor(scaled).astype(int)
        order = np.argsort(-(scaled - units), kind="stable")
        short = scale - int(units.sum())
        if short >= 0:
            units[order[:short]] += 1
        else:  # products that were rounded up
            units[[place for place in order[::-1] if units[place] > 0][:-short]] -= 1
        return Mixture(self.domains, tuple(float(unit) / scale for unit in units))


Proportions = Mapping[str, float] | Sequence[float] | Array
Mixtures = Mixture | Proportions | Mapping[str, Mixture | Proportions] | Sequence[Mixture | Proportions] | pd.DataFrame
"""What a caller may have mixtures in; see `mixtures_of`."""


def groups_of(proportions: Array) -> NDArray[np.int64]:
    """(n,) integer for each mixture of (n, M), the same for mixtures that differ by at most `SAME_MIXTURE`.

    Realised proportions of runs that were meant to be repeats differ a little; those chained by small differences are
    one group. The numbers do not depend on the order of the rows.
    """
    rows, member = np.unique(np.round(proportions, 9), axis=0, return_inverse=True)
    pairs = cKDTree(rows).query_pairs(2 * SAME_MIXTURE, p=1, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    groups: NDArray[np.int64] = connected_components(links, directed=False)[1][member.reshape(-1)].astype(np.int64)
    return groups


def read_mixture(path: Path | str, domains: Sequence[str] | None = None) -> Mixture:
    """Read a mixture file `{"domain": proportion}`, or the `mixture` of an optimum file.

    Args:
        path: the file.
        domains: the only ones it may name; any by default.

    Raises:
        Refused: naming the file and what is wrong in it.
    """
    if Path(path).suffix.lower() in TABLES:
        raise Refused(
            f'{path} is a table; one mixture is a .json file {{"domain": proportion, ...}}, and all mixtures of a csv '
            "are predicted by mixlaw predict --mixtures"
        )
    content = read_json(path)
    if isinstance(content, dict) and "final_share" in content:
        stem = Path(path).stem
        raise Refused(f"{path} is a schedule, of two mixtures in turn; name {stem}-base.json or {stem}-final.json")
    if isinstance(content, dict) and isinstance(content.get("mixture"), dict):
        content = content["mixture"]
    if not isinstance(content, dict) or not content or any(isinstance(v, dict | list) for v in content.values()):
        raise Refused(f'{path} is not a mixture; write {{"domain": proportion, ...}}')
    with naming(path):
        mixture = Mixture.of(content)
        if domains is not None:
            mixture.aligned(domains)
    return mixture


def read_mixtures(path: Path | str, domains: Sequence[str] | None = None) -> dict[str, Mixture]:
    """Read a mixtures file: csv, one row a candidate, one column a domain (with or without `mix.`), optional `name`.

    A mixture file (.json) is one candidate, called as the file.

    Args:
        path: the file.
        domains: the only ones it may have columns for; any by default.

    Returns:
        Mixtures by name; rows without a name are called by their number, from 1.

    Raises:
        Refused: naming file, row and column.
    """
    path = Path(path)
    if not path.is_file():
        raise Refused(f"{path} is no file; check the path")
    if path.suffix.lower() == ".json":
        return {path.stem: read_mixture(path, domains)}
    with naming(path):
        return _mixtures_of_frame(read_csv(path, texts=("name",)), domains)


def mixtures_of(given: Mixtures, domains: Sequence[str]) -> dict[str, Mixture]:
    """Mixtures by name, of whatever a caller has them in; what has no name is called by its number, from 1.

    Args:
        given: one mixture; mixtures by name or in a sequence; a frame with a row a mixture and a column a domain (with
            or without `mix.`), optionally `name`; or an array or a list, (M,) or (n, M), in the order of `domains`.
            Where a mixture is meant, `{domain: proportion}` will do.
        domains: what a row of an array is in the order of.

    Raises:
        Refused: naming the mixture, for one that is none.
    """
    if isinstance(given, pd.DataFrame):
        return _mixtures_of_frame(given, None)
    named: dict[str, Any]
    if isinstance(given, Mapping):
        named = {"1": given} if all(isinstance(value, Real) for value in given.values()) else {**given}
    else:
        rows = [given] if isinstance(given, Mixture) else [*given]
        if rows and all(isinstance(value, Real) for value in rows):
            rows = [rows]
        named = {str(number): row for number, row in enumerate(rows, start=1)}
    found = {}
    for name, each in named.items():
        with naming(f"mixture '{name}'"):
            found[str(name)] = each if isinstance(each, Mixture) else _mixture_of(each, domains)
    return found


def _mixture_of(given: Mapping[str, float] | Sequence[float] | Array, domains: Sequence[str]) -> Mixture:
    if isinstance(given, Mapping):
        return Mixture.of(given)
    if len(given) != len(domains):
        raise Refused(f"{len(given)} proportions for {len(domains)} domains; give one each of {', '.join(domains)}")
    return Mixture.of(dict(zip(domains, given, strict=True)))


def _mixtures_of_frame(frame: pd.DataFrame, domains: Sequence[str] | None) -> dict[str, Mixture]:
    columns = {column: str(column).removeprefix("mix.") for column in frame.columns if column != "name"}
    if not len(frame) or not columns:
        raise Refused("there is no mixture in it; write one row a candidate, one column a domain")
    if "run" in columns and any(str(column).startswith("loss.") for column in columns):
        raise Refused("it is a run table; in a mixtures file every column is a domain, but for a name: keep mix.*")
    if domains is not None:
        for domain in columns.values():
            one_of(domain, domains, "domain")
    mixtures: dict[str, Mixture] = {}
    for number, row in enumerate(frame.to_dict("records"), start=1):
        name = row.get("name")
        name = str(number) if name is None or pd.isna(name) else str(name)
        if name in mixtures:
            raise Refused(f"row {number}: name '{name}' appears twice; give each mixture its own")
        with naming(f"row {number} ('{name}')"):
            blank = [column for column in columns if pd.isna(row[column])]
            if blank:
                raise Refused(f"column '{blank[0]}' is blank; write 0 where there is none of it")
            mixtures[name] = Mixture.of({domain: row[column] for column, domain in columns.items()})
    return mixtures


def write_mixtures(path: Path | str, mixtures: Mapping[str, Mixture]) -> None:
    """Write a mixtures file, one row a candidate."""
    frame = pd.DataFrame([{"name": name, **mixture.as_dict()} for name, mixture in mixtures.items()])
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
