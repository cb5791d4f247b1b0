"""The exponential law's fit beside general minimisers: how low an objective, in how much CPU time.

Two rivals: many starts of `scipy.optimize.least_squares` with analytic derivatives, and the recipe of the law's authors
(Ye et al. 2024, arXiv 2403.16952): torch's L-BFGS in (log c, log k, t) with Huber's function at 0.05, many starts.
"""

import time
from dataclasses import dataclass

import numpy as np
from regmix import Swarm
from scipy.optimize import least_squares

from mixlaw.laws import LAWS
from mixlaw.laws.exponential import HUBER, VERTEX_FADING, VERTEX_SPREAD, by_huber
from mixlaw.laws.vertices import vertex_spread
from mixlaw.mixture import Array

STARTS = 64
RECIPE_DELTA = 0.05
RECIPE_STARTS, RECIPE_OUTER = 12, 50
"""The authors start 6000 times a target; a few show the time of one start, and what a few reach."""


@dataclass(frozen=True)
class Race:
    """Objectives (V,) of ours and of a rival, and the CPU seconds that both took."""

    ours: Array
    rival: Array
    our_seconds: float
    rival_seconds: float

    @property
    def ratios(self) -> Array:
        """Ours over the rival's; below 1 we are better."""
        return self.ours / self.rival


def against_least_squares(runs: Swarm, starts: int = STARTS) -> Race:
    """Our own objective: Huber's function of the residuals, and a rough guess of each domain's own loss."""
    began = time.process_time()
    fit = LAWS["exponential"].fit(runs.domains, runs.targets, runs.proportions, runs.losses)
    our_seconds = time.process_time() - began
    parameters = fit.law.parameters()
    ours, rival = [], []
    began = time.process_time()
    for v in range(len(runs.targets)):
        task = _Task.of(runs, v, float(fit.noise[v]))
        theta = np.append(parameters["irreducible"][v], parameters["exponents"][v])
        ours.append(float(task.rho(task.residuals(theta) ** 2)[0].sum()))
        rival.append(task.best_of(starts))
    return Race(np.array(ours), np.array(rival), our_seconds, time.process_time() - began)


def against_recipe(runs: Swarm, starts: int = RECIPE_STARTS, outer: int = RECIPE_OUTER) -> Race:
    """The recipe's own objective, without our guess of each domain's own loss: the sum of Huber's function at 0.05."""
    began = time.process_time()
    irreducible, exponents, _ = by_huber(runs.proportions, runs.losses, RECIPE_DELTA)
    our_seconds = time.process_time() - began
    residuals = runs.losses - irreducible - np.exp(runs.proportions @ exponents.T)
    ours = np.array([_huber(residuals[:, v], RECIPE_DELTA) for v in range(len(runs.targets))])
    began = time.process_time()
    rival = [_recipe(runs.proportions, runs.losses[:, v], starts, outer) for v in range(len(runs.targets))]
    return Race(ours, np.array(rival), our_seconds, time.process_time() - began)


def _huber(residuals: Array, delta: float) -> float:
    sizes = np.abs(residuals)
    return float(np.where(sizes <= delta, sizes**2, 2 * delta * sizes - delta**2).sum())


@dataclass(frozen=True)
class _Task:
    """One target's objective for a general minimiser: runs, then each domain alone guessed to lose as the worst run."""

    rows: Array
    losses: Array
    scale: Array
    delta: Array

    @classmethod
    def of(cls, runs: Swarm, v: int, noise: float) -> "_Task":
        measured, count = runs.losses[:, v], len(runs.domains)
        spread = vertex_spread(measured[:, None], count, VERTEX_SPREAD, VERTEX_FADING)[0]
        return cls(
            np.vstack([runs.proportions, np.eye(count)]),
            np.append(measured, np.full(count, measured.max())),
            np.append(np.ones(len(measured)), noise / spread),
            np.append(np.full(len(measured), HUBER * noise), np.full(count, np.inf)),
        )

    def residuals(self, theta: Array) -> Array:
        return self.scale * (theta[0] + np.exp(np.minimum(self.rows @ theta[1:], 50.0)) - self.losses)

    def slopes(self, theta: Array) -> Array:
        grown = np.exp(np.minimum(self.rows @ theta[1:], 50.0))
        return self.scale[:, None] * np.column_stack([np.ones(len(self.rows)), grown[:, None] * self.rows])

    def rho(self, squares: Array) -> Array:
        """Huber's function of squared residuals and its two derivatives, as `least_squares` asks for."""
        inside, size = squares <= self.delta**2, np.sqrt(np.maximum(squares, np.finfo(float).tiny))
        delta = np.where(inside, 0.0, self.delta)
        return np.array(
            [
                np.where(inside, squares, 2 * delta * size - delta**2),
                np.where(inside, 1.0, delta / size),
                np.where(inside, 0.0, -delta / (2 * size**3)),
            ]
        )

    def best_of(self, starts: int) -> float:
        generator = np.random.default_rng(0)
        best = np.inf
        for _ in range(starts):
            irreducible = generator.uniform(0, self.losses.min())
            exponents = np.log(self.losses.mean() - irreducible) + generator.standard_normal(self.rows.shape[1])
            start = np.append(irreducible, exponents)
            found = least_squares(self.residuals, start, self.slopes, x_scale="jac", loss=self.rho, max_nfev=400)
            best = min(best, 2 * float(found.cost))
        return best


def _recipe(proportions: Array, losses: Array, starts: int, outer: int) -> float:
    import torch

    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    rows, measured = torch.tensor(proportions), torch.tensor(losses)
    best = np.inf
    for _ in range(starts):
        first = [generator.choice(np.linspace(-2, 1.5, 10)), generator.choice(np.linspace(-10, 1, 20))]
        first += list(generator.uniform(0, 0.1, proportions.shape[1]))
        theta = torch.tensor(np.array(first), requires_grad=True)
        minimiser = torch.optim.LBFGS([theta], lr=0.01, max_iter=20, history_size=10, line_search_fn="strong_wolfe")

        def objective(theta: torch.Tensor = theta) -> torch.Tensor:
            predicted = torch.exp(theta[0]) + torch.exp(theta[1] + rows @ theta[2:])
            return torch.nn.functional.huber_loss(predicted, measured, delta=RECIPE_DELTA)

        def closure(minimiser: torch.optim.LBFGS = minimiser) -> torch.Tensor:
            minimiser.zero_grad()
            loss = objective()
            loss.backward()
            return loss

        for _ in range(outer):
            minimiser.step(closure)
            with torch.no_grad():
                # torch's Huber is half the square, and the mean.
                value = 2 * len(losses) * float(objective())
            if np.isfinite(value):
                best = min(best, value)
    return best
