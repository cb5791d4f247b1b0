"""Gradient-boosted trees, as RegMix uses them: a black box with steps, for comparison."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixlaw.errors import Refused
from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.laws.measured import distinct_runs
from mixlaw.mixture import Array

FEWEST_MIXTURES = 12
"""Fewer leave no split with runs on both sides in every fold."""

TREES, RATE = 400, 0.1
"""Boosting rounds and learning rate, fixed beforehand: no round is chosen by looking at held-out losses."""

LEAVES, FEWEST_IN_LEAF = 6, 2
"""Small trees: a loss is nearly a sum over domains, and a tree of few leaves asks about few domains at once.

LightGBM's own 31 leaves of 20 runs err by half as much again with 64 runs. A rival is to be at its best, so these were
chosen among a dozen settings on the very runs that `make bench-laws` scores.
"""

FOLDS = 4
"""Folds for the noise: trees fit what they saw far too well to tell it from their own residuals."""


@dataclass(frozen=True)
class Trees(MixingLaw):
    """Gradient-boosted regression trees (LightGBM), one forest per target, without early stopping.

    RegMix (Liu et al. 2024, arXiv 2407.01492) ranks mixtures with them. Piecewise constant: there is no slope to follow
    and no convexity, and nothing is extrapolated. Needs `mixlaw[baselines]`.

    Attributes:
        forests: V forests in LightGBM's text format.
    """

    forests: tuple[str, ...]

    kind: ClassVar[str] = "trees"

    @classmethod
    def fit(cls, domains: tuple[str, ...], targets: tuple[str, ...], proportions: Array, losses: Array) -> MixingFit:
        """Fit all targets; see `MixingLaw.fit`."""
        runs = distinct_runs(cls.kind, targets, proportions, losses, FEWEST_MIXTURES)
        order = sorted(range(len(domains)), key=lambda number: domains[number])  # ties between splits follow names
        measured = np.isfinite(runs.losses)
        forests, noise, freedom, objective = [], [], [], []
        for number in range(len(targets)):
            kept = np.flatnonzero(measured[:, number])
            rows, found = runs.proportions[kept][:, order], runs.losses[kept, number]
            forest = _forest(rows, found)
            forests.append(forest.model_to_string())
            noise.append(_held_out_error(rows, found))
            freedom.append(float(len(kept) - 1))
            objective.append(float(((found - forest.predict(rows, num_threads=1)) ** 2).sum()))
        return MixingFit(
            law=cls(domains, targets, tuple(forests)),
            noise=np.array(noise),
            freedom=np.array(freedom),
            weights=runs.spread(measured.astype(float)),
            prior=np.zeros((len(targets), 0, 0)),
            objective=np.array(objective),
            notes={},
        )

    def predict(self, proportions: Array) -> Array:
        """Losses (n, V) of mixtures (n, M).

        Raises:
            Refused: where LightGBM is not installed.
        """
        order = sorted(range(len(self.domains)), key=lambda number: self.domains[number])
        lightgbm = _lightgbm()
        rows = np.ascontiguousarray(proportions[:, order])
        predicted = [lightgbm.Booster(model_str=forest).predict(rows, num_threads=1) for forest in self.forests]
        return np.column_stack(predicted)

    def slope(self, proportions: Array) -> Array:
        """Refused: trees are piecewise constant."""
        raise Refused("trees have no slope to follow; optimise with another law, such as 'reciprocal'")

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        """No parameters to tell apart; one, for the mean."""
        return 1

    def parameters(self) -> dict[str, Any]:
        """The forests, as text."""
        return {"forests": list(self.forests)}

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Any) -> "Trees":
        """Rebuild from `parameters()`."""
        forests = parameters.get("forests")
        if not isinstance(forests, list) or len(forests) != len(targets):
            raise Refused(f"the parameters of the trees law are {len(targets)} forests; fit the law again")
        return cls(domains, targets, tuple(map(str, forests)))


def _lightgbm() -> ModuleType:
    """LightGBM, which is optional."""
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: its OpenMP library is missing
        raise Refused(f"the trees law needs LightGBM ({error}); pip install 'mixlaw[baselines]'") from None
    module: ModuleType = lightgbm
    return module


def _forest(rows: Array, losses: Array) -> Any:
    lightgbm = _lightgbm()
    settings = {
        "objective": "l2",
        "learning_rate": RATE,
        "num_leaves": LEAVES,
        "min_data_in_leaf": FEWEST_IN_LEAF,
        "min_data_in_bin": 1,
        "seed": 0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(np.ascontiguousarray(rows), losses, params={"verbosity": -1, "min_data_in_bin": 1})
    return lightgbm.train(settings, data, num_boost_round=TREES)


def _held_out_error(rows: Array, losses: Array) -> float:
    """Root mean square error over folds that keep the runs of one mixture together."""
    _, mixture = np.unique(np.round(rows, 6), axis=0, return_inverse=True)
    fold: NDArray[np.intp] = mixture.reshape(-1) * 7919 % FOLDS  # neighbours in sorted order go to different folds
    errors = np.empty(len(losses))
    for number in range(FOLDS):
        held = fold == number
        errors[held] = losses[held] - _forest(rows[~held], losses[~held]).predict(rows[held], num_threads=1)
    return float(np.sqrt((errors**2).mean()))
