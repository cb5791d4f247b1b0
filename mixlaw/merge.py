"""Run tables of studies whose domains differ, as one table: nothing that was measured is lost when domains change."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mixlaw.errors import Refused, one_of
from mixlaw.files import read_json
from mixlaw.mixture import Mixture
from mixlaw.runs import EPOCHS, LOSS, MIX, RunTable, check_runs, with_whole_counts
from mixlaw.same_runs import each_once
from mixlaw.stages import FINAL, in_two_stages
from mixlaw.wording import counted

Columns = Mapping[str, Mapping[str, float]]
"""Old domain -> shares of the new domains that its text is made of."""

TRACE = 0.005
"""Share of a domain up to which a run counts as one that did without it."""

UNEQUAL = 0.02
"""Share of a merged domain by which its make-up may differ between runs before that is said."""


def read_columns(path: Path | str) -> dict[str, dict[str, float]]:
    """Read a map of columns: `{"old": "new"}` renames or merges, `{"old": {"new": share, ...}}` splits.

    Raises:
        Refused: naming the file and the domain whose entry is neither, or whose shares do not sum to 1.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise Refused(f'{path} maps no domain; write {{"old": "new"}} or {{"old": {{"new": 0.7, "other": 0.3}}}}')
    columns: dict[str, dict[str, float]] = {}
    for domain, parts in content.items():
        if not isinstance(parts, str | dict):
            raise Refused(f"{path}: '{domain}' has become {parts!r}; give a name, or shares that sum to 1")
        try:
            columns[domain] = {parts: 1.0} if isinstance(parts, str) else Mixture.of(parts).as_dict()
        except Refused as error:
            raise Refused(f"{path}: '{domain}': {error}; give a name, or shares that sum to 1") from None
    return columns


def with_domains(table: RunTable, columns: Columns) -> RunTable:
    """Say a run table in other domains.

    A domain that was split was, in every earlier run, the fixed mixture of its parts, so its proportion is theirs in
    those shares: exact, if the shares are those of the text it was sampled from. Domains that were merged add up:
    exact only where their ratio is the one the merged domain has, and a note says by how much it varied.

    Args:
        table: checked runs.
        columns: what each domain that changed has become; the others stay.

    Raises:
        Refused: for a domain the table does not have, or shares that do not sum to 1.
    """
    parts = {domain: {domain: 1.0} for domain in table.domains}
    for domain, shares in columns.items():
        one_of(domain, table.domains, "domain")
        parts[domain] = Mixture.of(shares).as_dict()
    sources: dict[str, list[str]] = {}
    for domain, shares in parts.items():
        for name in shares:
            sources.setdefault(name, []).append(domain)
    read = (MIX, FINAL) if table.in_two_stages.any() else (MIX,)
    changed = [column + domain for column in (*read, EPOCHS) for domain in table.domains]
    kept = table.frame.drop(columns=changed, errors="ignore")
    added = {}
    for name, domains in sources.items():
        for column in read:
            added[column + name] = sum(table.frame[column + domain] * parts[domain][name] for domain in domains)
        passes = EPOCHS + domains[0]
        if len(domains) == 1 and passes in table.frame:  # parts of a domain are passed over as often as the whole
            added[EPOCHS + name] = table.frame[passes]
    frame = pd.concat([kept, pd.DataFrame(added, index=kept.index)], axis=1)
    merged = {name: domains for name, domains in sources.items() if len(domains) > 1}
    notes = [note for name, domains in merged.items() for note in _about_merged(table, parts, name, domains)]
    return _checked(frame, table.source, [*table.notes, *notes])


def without_domain(table: RunTable, domain: str) -> RunTable:
    """The runs that did without a domain, which is then no longer a column.

    Runs with at most a trace of it, `TRACE`, are kept, their other proportions divided by what is left.

    Raises:
        Refused: for a domain the table does not have, or if every run has more of it.
    """
    share = table.frame[MIX + one_of(domain, table.domains, "domain")]
    keep = share <= TRACE
    if not keep.any():
        raise Refused(
            f"{table.source}: every run has more than {TRACE:g} of '{domain}' (least: {share.min():.4g}), so none "
            "tells what happens without it; keep the domain and cap it at 0 in mixlaw optimize"
        )
    read = (MIX, FINAL) if table.in_two_stages.any() else (MIX,)
    frame = table.frame[keep].drop(columns=[column + domain for column in (*read, EPOCHS)], errors="ignore")
    for column in read:
        others = [column + other for other in table.domains if other != domain]
        frame[others] = frame[others].div(frame[others].sum(axis=1), axis=0)
    left = table.frame.loc[~keep, "run"].nunique()
    notes = [f"{counted(left, 'run')} with more than {TRACE:g} of '{domain}' left out"] if left else []
    return _checked(frame, table.source, [*table.notes, *notes])


def joined(tables: Sequence[RunTable], columns: Columns | None = None) -> RunTable:
    """One run table of several studies.

    A domain that a study did not have has proportion 0 in its runs, which is what they trained on; a target it did not
    measure stays blank. A training that several tables have is taken once, with every checkpoint and loss that any of
    them has of it; other runs that share a name between tables are told apart by the name of their file.

    Args:
        tables: checked runs.
        columns: what domains that changed have become, in every table that has them.

    Raises:
        Refused: if no table has a domain that `columns` names, the tables share no target, one adds nothing to the
            others, or two contradict each other about one run.
    """
    columns = columns or {}
    for place, table in enumerate(tables):
        if table.sha256 and table.sha256 in [earlier.sha256 for earlier in tables[:place]]:
            raise Refused(f"{table.source} is given twice, which would count every run of it twice; name it once")
    every = sorted({domain for table in tables for domain in table.domains})
    for domain in columns:
        one_of(domain, every, "domain")
    same = [
        with_domains(table, {domain: parts for domain, parts in columns.items() if domain in table.domains})
        for table in tables
    ]
    shared = set.intersection(*({*table.targets} for table in same))
    if not shared:
        each = "; ".join(f"{table.source}: {', '.join(table.targets[:6])}" for table in same)
        raise Refused(f"the run tables share no target ({each}); rename the loss columns that mean the same")
    targets = {target for table in same for target in table.targets}
    notes = [note for table in same for note in table.notes]
    same, copied = each_once(same)
    frame = pd.concat([table.frame for table in _told_apart(same)], ignore_index=True, sort=False)
    domains = [name for name in frame.columns if name.startswith(MIX)]
    frame[domains] = frame[domains].fillna(0.0)
    finals, staged = [FINAL + name.removeprefix(MIX) for name in domains], in_two_stages(frame)
    if staged.any():
        frame = frame.reindex(columns=[*frame.columns, *(name for name in finals if name not in frame.columns)])
        frame.loc[staged, finals] = frame.loc[staged, finals].fillna(0.0)
    notes += copied
    if targets - shared:
        notes.append(f"not measured in every study: {', '.join(sorted(targets - shared))}")
    return _checked(_in_order(frame), ", ".join(table.source for table in same), notes)


def _about_merged(
    table: RunTable, parts: Mapping[str, Mapping[str, float]], name: str, domains: list[str]
) -> list[str]:
    amounts = np.column_stack([table.frame[MIX + domain] * parts[domain][name] for domain in domains])
    whole = amounts.sum(axis=1)
    shares = amounts[whole > 0] / whole[whole > 0, None]
    if not len(shares) or np.ptp(shares, axis=0).max() <= UNEQUAL:
        return []
    widest = int(np.argmax(np.ptp(shares, axis=0)))
    return [
        f"'{name}' is {' + '.join(domains)}, and '{domains[widest]}' was between {shares[:, widest].min():.2f} and "
        f"{shares[:, widest].max():.2f} of it: what that changed now counts as noise"
    ]


def _told_apart(tables: Sequence[RunTable]) -> list[RunTable]:
    names = [set(table.frame["run"]) for table in tables]
    if len(set.union(*names)) == sum(map(len, names)):
        return list(tables)
    stems = [Path(table.source).stem for table in tables]
    stems = stems if len(set(stems)) == len(stems) else [f"{stem}-{place}" for place, stem in enumerate(stems, 1)]
    return [
        RunTable(table.frame.assign(run=stem + "." + table.frame["run"]), table.domains, table.targets, table.source)
        for table, stem in zip(tables, stems, strict=True)
    ]


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of one kind beside each other, in the order they first came."""
    kinds = (MIX, *((FINAL,) if in_two_stages(frame).any() else ()), EPOCHS, LOSS)
    first = [name for name in frame.columns if not name.startswith(kinds)]
    return frame[first + [name for kind in kinds for name in frame.columns if name.startswith(kind)]]


def _checked(frame: pd.DataFrame, source: str, notes: list[str]) -> RunTable:
    table = check_runs(frame, source=source)
    said = (*dict.fromkeys([*notes, *table.notes]),)
    return RunTable(with_whole_counts(table.frame), table.domains, table.targets, source, notes=said)
