"""What every design is: a rule that proposes the next mixture to run, given those taken before."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from mixlaw.limits import Limits
from mixlaw.mixture import Array


class Design(ABC):
    """Proposes mixtures one at a time.

    The n-th mixture depends on the limits, the natural mixture, the seed and the mixtures before it, and on nothing
    that comes after it: a longer design begins with the shorter one, so a study can be extended without losing a run.

    Adding one: subclass in a file of its own and name it in `mixlaw.design.sample.DESIGNS`.
    """

    @abstractmethod
    def propose(
        self, limits: Limits, natural: Array | None, taken: Sequence[Array], random: np.random.Generator
    ) -> Array:
        """The next mixture.

        Args:
            limits: what every mixture must meet.
            natural: (M,) the natural mixture, where it is known.
            taken: the mixtures already in the design, each (M,).
            random: a generator of this mixture's own.

        Returns:
            (M,) proportions that meet `limits`; one equal to a mixture already taken is drawn again by the caller.

        Raises:
            Refused: if this design needs what was not given.
        """
