"""The learning rate of every step of a run."""

import math

from mixlaw.plan import Training

REFERENCE_WIDTH = 64
"""The width that `Training.learning_rate` is for."""

COSINE_FLOOR = 0.1
"""Share of the peak at which a cosine schedule ends (Hoffmann et al. 2022, 2203.15556)."""


def peak_rate(training: Training, width: int) -> float:
    """The highest rate for a width: the plan's, scaled by 64 / width.

    Under Adam every weight moves by about the rate a step, so what a matrix adds to the stream moves by rate x width;
    a rate inverse to the width keeps that the same at every size (Yang et al. 2022, 2203.03466).
    """
    return training.learning_rate * REFERENCE_WIDTH / width


def warmup_steps(training: Training, steps: int) -> int:
    """Steps over which the rate rises in a run of so many."""
    return max(1, round(training.warmup * steps))


def learning_rate(step: int, steps: int, rising: int, training: Training, width: int) -> float:
    """The rate of one step.

    All schedules rise linearly over `rising` steps. "constant" then stays; "cosine" falls to a tenth of the
    peak along half a cosine; "wsd" stays, and over its last `decay x steps` steps falls to 0 as 1 - sqrt(x), which
    ended lower than a line or a cosine in Hägele et al. 2024 (2405.18392). "inverse-sqrt" falls as 1 / sqrt(step) from
    the end of the rise (Zhai et al. 2022, 2106.04560), and over its last `cooldown x steps` steps in a line to 0.

    Args:
        step: counted from 1.
        steps: of the whole run.
        rising: steps of the warm-up.
        training: of the plan.
        width: of the model.
    """
    peak = peak_rate(training, width)
    if step <= rising:
        return peak * step / rising
    if training.schedule == "cosine":
        turn = (step - rising) / max(1, steps - rising)
        return peak * (COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * turn)) / 2)
    if training.schedule == "wsd":
        falling = max(1, round(training.decay * steps))
        return peak * (1 - math.sqrt(max(0.0, (step - 1 - (steps - falling)) / falling)))
    if training.schedule == "inverse-sqrt":
        cooling = round(training.cooldown * steps)
        falls_until = max(rising, min(step, steps - cooling))
        return peak * math.sqrt(rising / falls_until) * (1 - max(0, step - (steps - cooling)) / max(1, cooling))
    return peak
