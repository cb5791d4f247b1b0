"""Laws in the manner of scikit-learn: `fit` on mixtures and losses, `predict`, and pipelines and searches around them.

For a loss across sizes and token counts, for blanks, and for files, use `mixlaw.fit`; here is one scale, as arrays.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mixlaw.errors import Refused, one_of
from mixlaw.fitting.uncertainty import uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.mixture import ROUNDING, Array, groups_of
from mixlaw.surfaces.base import FitAtScale


class MixingLawRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A mixing law as a regressor: losses of runs at one scale from the mixtures they trained on.

    Runs of one mixture belong on one side of a split: pass `groups=mixlaw.mixture.groups_of(X)` and a grouped splitter
    to `cross_val_score` or `GridSearchCV`, or scores are too good.

    Args:
        kind: a law of `mixlaw.laws.LAWS`.
        renormalise: divide each row of X by its sum, instead of refusing one that is off 1 by more than 0.005.

    Attributes:
        law_: the fitted `MixingLaw`; its domains are the columns' names, or their numbers.
        uncertainty_: how sure it is, see `mixlaw.fitting.uncertainty.Uncertainty`.
        notes_: what the fit found worth saying, by target.
        n_features_in_, feature_names_in_: as in every scikit-learn estimator.
    """

    def __init__(self, kind: str = "reciprocal", *, renormalise: bool = False) -> None:
        self.kind = kind
        self.renormalise = renormalise

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the law to runs.

        Args:
            X: (n, M) proportions, one row a run.
            y: (n,) or (n, V) losses, positive, nats per token.

        Raises:
            ValueError: for rows that are no mixtures, losses that are not positive, or too few runs for this law.
        """
        kind = one_of(self.kind, list(LAWS), "law")
        X, y = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=2, ensure_min_features=2
        )
        if (y <= 0).any():
            raise Refused(f"y holds {float(y.min()):g}; a cross-entropy in nats is positive: correct it")
        proportions, losses = self._mixtures(X), np.asarray(y, dtype=float).reshape(len(y), -1)
        names = getattr(self, "feature_names_in_", range(proportions.shape[1]))
        domains, targets = tuple(map(str, names)), tuple(map(str, range(losses.shape[1])))
        found = LAWS[kind].fit(domains, targets, proportions, losses)
        self._is_one_target = y.ndim == 1
        self.law_ = found.law
        self.notes_ = dict(found.notes)
        at = FitAtScale(found, proportions, losses, groups_of(proportions), np.zeros(losses.shape[1]))
        self.uncertainty_ = uncertainty_of(at)
        return self

    def predict(self, X: Any) -> Array:
        """Losses of mixtures (n, M), nats per token: (n,) for one target, else (n, V)."""
        proportions = self._checked(X)
        return self._shaped(self.law_.predict(proportions))

    def predict_interval(self, X: Any, interval: float = 0.9) -> tuple[Array, Array]:
        """Ends of central intervals for losses measured next, each of the shape of `predict`.

        Args:
            X: (n, M) mixtures.
            interval: how often an interval is to hold the measured loss.
        """
        if not 0 < interval < 1:
            raise Refused(f"the interval is {interval:g}; it is a probability between 0 and 1, such as 0.9")
        proportions = self._checked(X)
        loss, half = self.law_.predict(proportions), self.uncertainty_.half_width(proportions, interval)
        return self._shaped(loss - half), self._shaped(loss + half)

    def _checked(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._mixtures(validate_data(self, X, dtype=np.float64, reset=False))

    def _mixtures(self, X: Array) -> Array:
        """Rows that sum to 1 exactly; refuse those that are no mixtures."""
        if (X < 0).any():
            row = int(np.flatnonzero((X < 0).any(axis=1))[0])
            raise Refused(f"Negative values in data: row {row} of X holds {X[row].min():g}; proportions are at least 0")
        sums = X.sum(axis=1)
        off = sums <= 0 if self.renormalise else np.abs(sums - 1) > ROUNDING
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise Refused(
                f"row {row} of X sums to {sums[row]:.6g}, not 1; give proportions, or renormalise=True to divide by "
                "the sum"
            )
        mixtures: Array = X / sums[:, None]
        return mixtures

    def _shaped(self, values: Array) -> Array:
        return values[:, 0] if self._is_one_target else values

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect: positive features and targets, several targets at once."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # on data that are no losses of mixtures, as the checks' are
        return tags
