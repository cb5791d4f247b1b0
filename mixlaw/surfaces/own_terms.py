"""What each mixture has of its own beside the curve that all share: an offset, a size term and a token term."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mixlaw.mixture import Array
from mixlaw.surfaces.curves import Index
from mixlaw.surfaces.shared_curve import PRIOR_OF_MIXTURE, Cells, Rows, SharedCurve, losses_of_cells

WIDENINGS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""By how much more than a specification says token terms may deviate, where the runs themselves show it. Mixtures of
published runs fall alike (their evidence is for 0.02 to 0.1 nats); those of short runs of small models do not: what is
not trained on hardly falls, what is trained on falls by a nat."""


@dataclass(frozen=True)
class OwnTerms:
    """What the rows say of each mixture's own offset, size and token term, beside those of the average mixture.

    They are taken from the cells' losses rather than from the curve: what all mixtures are off the curve at one size or
    moment is no deviation of any of them.

    Attributes:
        mixture: (n,) of each row.
        left: (n, V) losses minus those of their cells.
        features: (n, V, 3).
        normal: (G, V, 3, 3), `pull` (G, V, 3): of the weighted least squares.
        noise: (V,) standard deviation of a row.
    """

    mixture: Index
    left: Array
    features: Array
    normal: Array
    pull: Array
    noise: Array

    @classmethod
    def of(cls, rows: Rows, cells: Cells, curve: SharedCurve, weights: Array, noise: Array, mixtures: int) -> Self:
        """Sum the rows up; `weights` (n, V) are robust, 0 where not measured."""
        left = rows.losses - losses_of_cells(cells, curve)[cells.of_row]
        features = curve.features(rows.params, rows.tokens)[:, :, :3] - np.array([0.0, 1.0, 1.0])
        normal = np.zeros((mixtures, len(noise), 3, 3))
        pull = np.zeros((mixtures, len(noise), 3))
        weighted = features * weights[:, :, None]
        np.add.at(normal, rows.mixture, weighted[:, :, :, None] * features[:, :, None, :])
        np.add.at(pull, rows.mixture, weighted * np.where(weights > 0, left, 0.0)[:, :, None])
        return cls(rows.mixture, left, features, normal, pull, noise)

    def terms(self, deviation: float, widening: Array) -> Array:
        """Offset, size and token term of each mixture (G, V, 3); NaN where it was not measured.

        Args:
            deviation: tau of the size terms.
            widening: (V,) tau of the token terms over that.
        """
        prior = _precision(deviation, widening, offset=0.0) * self.noise[:, None, None] ** 2
        unmeasured = self.normal[:, :, 0, 0] == 0
        normal = np.where(unmeasured[:, :, None, None], np.eye(3), self.normal) + prior + 1e-12 * np.eye(3)
        terms = np.linalg.solve(normal, self.pull[:, :, :, None])[:, :, :, 0].astype(np.float64)
        terms[unmeasured] = np.nan
        return terms

    def residual(self, terms: Array) -> Array:
        """(n, V) what the terms leave of every row."""
        residual: Array = self.left - (terms[self.mixture] * self.features).sum(axis=2)
        return residual

    def widening(self, deviation: float) -> Array:
        """(V,) of WIDENINGS, the most probable for each target: the terms integrated out of what is left."""
        normal, pull = (part / self.noise.reshape(-1, *[1] * (part.ndim - 2)) ** 2 for part in (self.normal, self.pull))
        found = []
        for widening in WIDENINGS:
            prior = _precision(deviation, np.full(len(self.noise), widening), offset=PRIOR_OF_MIXTURE**-2)
            both = normal + prior
            fitted = (pull * np.linalg.solve(both, pull[:, :, :, None])[:, :, :, 0]).sum(axis=2)
            volume = np.linalg.slogdet(prior)[1] - np.linalg.slogdet(both)[1]
            found.append(0.5 * (fitted + volume).sum(axis=0))
        best: Array = np.array(WIDENINGS)[np.argmax(found, axis=0)]
        return best


def _precision(deviation: float, widening: Array, offset: float) -> Array:
    """(V, 3, 3) prior precision of the terms of a mixture."""
    ones = np.ones(len(widening))
    diagonal = np.stack([offset * ones, deviation**-2 * ones, (deviation * widening) ** -2], axis=1)
    precision: Array = diagonal[:, :, None] * np.eye(3)
    return precision
