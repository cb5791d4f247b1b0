"""The front between groups of targets: what one group must lose for another to gain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from mixlaw.errors import Refused, naming
from mixlaw.files import read_json, replacing
from mixlaw.fitting.law import LawAtScale
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.printed import printed
from mixlaw.optimize.program import Ceilings, Program
from mixlaw.optimize.worst_case import start_within
from mixlaw.wanted import found as shown
from mixlaw.weights import weights_of

POINTS = 21
FINE = 1e-6
"""Nats per token: a front known so well needs no further point."""

LEAST = 1e-4
"""Least weight of a group: at 0 the end of the front could be a mixture that another one beats in that group alone."""


@dataclass(frozen=True)
class FrontPoint:
    """A mixture that no allowed one beats in every group.

    Attributes:
        weights: (G,) importance of the groups for which it is best, summing to 1.
        losses: (G,) predicted losses of the groups, nats per token.
        mixture: its proportions.
        gap: how much any allowed mixture could improve on the weighted sum, nats per token.
    """

    weights: Array
    losses: Array
    mixture: Mixture
    gap: float


@dataclass(frozen=True)
class Front:
    """Points from the best for the first group to the best for the last.

    Attributes:
        groups: G names.
        points: in order.
        unknown: nats per token by which any allowed mixture can lie below the straight lines between the points, in
            both groups together; None for more than two groups.
    """

    groups: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    unknown: float | None

    @property
    def compromise(self) -> int:
        """The point nearest the ideal of every group at its best, each group scaled by its range on the front."""
        losses = np.array([point.losses for point in self.points])
        spread = np.maximum(np.ptp(losses, axis=0), 1e-12)
        return int((((losses - losses.min(axis=0)) / spread) ** 2).sum(axis=1).argmin())

    def table(self) -> pd.DataFrame:
        """One row a point: weights and losses of the groups, gap, proportions."""
        rows = [
            {
                "point": number,
                **{f"weight.{group}": point.weights[g] for g, group in enumerate(self.groups)},
                **{f"loss.{group}": point.losses[g] for g, group in enumerate(self.groups)},
                "gap": point.gap,
                **{f"mix.{domain}": share for domain, share in point.mixture.as_dict().items()},
            }
            for number, point in enumerate(self.points, start=1)
        ]
        return pd.DataFrame(rows)


def write_front(front: Front, path: Path | str) -> None:
    """Write a front as csv, whole or not at all."""
    with replacing(path) as temporary:
        front.table().to_csv(temporary, index=False, lineterminator="\n")


def read_groups(path: Path | str, targets: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Read groups of targets: `{"group": {"target": weight}}` or `{"group": ["target", ...]}`.

    Args:
        path: the file.
        targets: the only ones that a group may hold; any by default.

    Raises:
        Refused: naming the file and the group.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise Refused(f'{path} does not hold groups; write {{"code": ["github"], "prose": {{"books": 2, "wiki": 1}}}}')
    groups: dict[str, dict[str, float]] = {}
    for name, members in content.items():
        if isinstance(members, list):
            twice = [target for target in members if members.count(target) > 1]
            if twice:
                raise Refused(f"{path}: group '{name}' names '{twice[0]}' twice; name it once, or give weights")
            members = dict.fromkeys(map(str, members), 1.0)
        if not isinstance(members, dict) or not members:
            raise Refused(f'{path}: group \'{name}\' holds no targets; write ["github"] or {{"books": 2, "wiki": 1}}')
        for target, weight in members.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise Refused(
                    f"{path}: group '{name}': the weight of '{target}' is {shown(weight)}; it must be a number"
                )
        groups[str(name)] = {str(target): float(weight) for target, weight in members.items()}
        if targets is not None:
            with naming(f"{path}: group '{name}'"):
                weights_of(groups[str(name)], targets)
    return groups


def pareto(
    at: LawAtScale,
    groups: Mapping[str, Mapping[str, float]],
    limits: Limits,
    *,
    at_most: Mapping[str, float] | None = None,
    points: int = POINTS,
) -> Front:
    """Find the front between groups of targets.

    Every point of a convex front is best for some weights of the groups, so weighted sums find it all. Between two
    groups the next point is sought where the front is least known (Cohon 1978): the supporting lines at two neighbours
    meet below the chord, and the front lies between.

    Args:
        at: the law at one scale; convex in every target that is named.
        groups: at least two, each with weights of its targets.
        limits: the allowed mixtures.
        at_most: target -> largest predicted loss allowed.
        points: how many, about, for more than two groups.

    Raises:
        Refused: for fewer than two groups, unknown targets, or a law that is not convex.
    """
    if len(groups) < 2:
        raise Refused(f"a front lies between groups of targets; found {len(groups)}, give at least two")
    if points < len(groups):
        raise Refused(f"a front between {len(groups)} groups has at least {len(groups)} points, not {points}")
    search = _Search.of(at, groups, limits, at_most or {})
    if len(groups) == 2:
        found, unknown = _between_two(search, points)
        return Front(tuple(groups), tuple(found), unknown)
    return Front(tuple(groups), tuple(_between_many(search, points)), None)


@dataclass(frozen=True)
class _Search:
    at: LawAtScale
    limits: Limits
    group_weights: Array
    ceilings: Ceilings
    names: tuple[str, ...]
    start: Array | None

    @classmethod
    def of(
        cls, at: LawAtScale, groups: Mapping[str, Mapping[str, float]], limits: Limits, at_most: Mapping[str, float]
    ) -> "_Search":
        targets = at.law.targets
        weights = []
        for name, members in groups.items():
            try:
                weights.append(weights_of(members, targets))
            except Refused as error:
                raise Refused(f"group '{name}': {error}") from None
        kept = [targets.index(target) for target in at_most]
        counted = {*np.flatnonzero(np.array(weights).sum(axis=0)), *kept}
        if not at.law.convex[[*counted]].all():
            raise Refused(
                f"the {at.law.kind} law is not convex, so no front of it can be proved; fit a convex law, such as "
                "reciprocal"
            )
        ceilings = Ceilings.of(np.eye(len(targets))[kept], np.array([*at_most.values()], dtype=float))
        names = tuple(f"loss of '{target}'" for target in at_most)
        start = start_within(Program.mean(at.law, limits, weights[0], ceilings=ceilings), names)
        return cls(at, limits, np.array(weights), ceilings, names, start)

    def best(self, importance: Array, start: Array | None = None) -> FrontPoint:
        """The point that is best for these weights of the groups."""
        share = np.maximum(importance / importance.sum(), LEAST)
        share /= share.sum()
        program = Program.mean(self.at.law, self.limits, share @ self.group_weights, ceilings=self.ceilings)
        solution = solve(program, start=start if start is not None else self.start)
        proportions = printed(program, solution)
        losses = self.group_weights @ self.at.law.predict(proportions[None])[0]
        gap = max(program.value(proportions) - solution.lower_bound, 0.0)
        return FrontPoint(share, losses, Mixture(self.at.law.domains, tuple(map(float, proportions))), gap)


def _between_two(search: _Search, points: int) -> tuple[list[FrontPoint], float]:
    found = [search.best(np.array([1.0, 0.0])), search.best(np.array([0.0, 1.0]))]
    while True:
        unknown = [_unknown(left, right) for left, right in pairwise(found)]
        widest = int(np.argmax(unknown))
        if len(found) >= points or unknown[widest] <= FINE:
            return found, float(max(unknown))
        left, right = found[widest], found[widest + 1]
        chord = np.array([left.losses[1] - right.losses[1], right.losses[0] - left.losses[0]])
        found.insert(widest + 1, search.best(chord, np.array(left.mixture.proportions)))


def _unknown(left: FrontPoint, right: FrontPoint) -> float:
    """How far below the chord of two points the front can lie: where their supporting lines meet, in nats."""
    chord = np.array([left.losses[1] - right.losses[1], right.losses[0] - left.losses[0]])
    if (chord <= 0).any():
        return 0.0
    lines = np.array([left.weights, right.weights])
    levels = np.array([left.weights @ left.losses - left.gap, right.weights @ right.losses - right.gap])
    if abs(np.linalg.det(lines)) < 1e-12:
        return 0.0
    meet = np.linalg.solve(lines, levels)
    normal = chord / chord.sum()
    return max(float(normal @ (left.losses - meet)), 0.0)


def _between_many(search: _Search, points: int) -> list[FrontPoint]:
    """Weights on a lattice, each group scaled by how much it varies between the ends of the front."""
    count = len(search.group_weights)
    ends = np.array([search.best(row).losses for row in np.eye(count)])
    spread = np.maximum(ends.max(axis=0) - ends.min(axis=0), 1e-9)
    steps = 1
    while len(_lattice(count, steps + 1)) <= points:
        steps += 1
    return [search.best(row / spread) for row in _lattice(count, steps)]


def _lattice(count: int, steps: int) -> Array:
    chosen = combinations_with_replacement(range(count), steps)
    return np.array([np.bincount(places, minlength=count) / steps for places in chosen])
