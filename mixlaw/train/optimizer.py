"""AdamW over the weights of a network, with the gradient of each member clipped by its own norm."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mixlaw.plan import Training
from mixlaw.train.network import Network

BETAS = (0.9, 0.95)
"""Decay of the two moments, as most language models use."""

EPSILON = 1e-8


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019, 1711.05101) in a few passes over each part, however many weights it holds.

    Every weight is stepped where it lies, by its own gradient and moments, so a pack steps as its members would, and
    processes that keep shares of the weights keep those shares of the moments. Only the matrices decay. Written out
    because importing `torch.optim` takes as long as importing torch, in every worker.

    Args:
        network: whose weights are stepped.
        training: weight decay and clip.

    Attributes:
        means, squares: the moments, like the parts of the network; with `steps`, taken so far, all that it knows.
    """

    def __init__(self, network: Network, training: Training) -> None:
        self.network, self.clip = network, training.clip
        self.decays = (*(training.weight_decay for _ in network.parts[:-1]), 0.0)
        self.means = tuple(torch.zeros_like(part) for part in network.parts)
        self.squares = tuple(torch.zeros_like(part) for part in network.parts)
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every member against its clipped gradient, and forget the gradients."""
        slopes = clipped(self.network.slopes(), self.clip, self.network.members, self.network.total)
        self.steps += 1
        correction, square_correction = (1 - beta**self.steps for beta in BETAS)
        for place, (part, slope) in enumerate(zip(self.network.parts, slopes, strict=True)):
            mean, square = self.means[place], self.squares[place]
            mean.lerp_(slope, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
            size = (square / square_correction).sqrt_().add_(EPSILON)
            if self.decays[place]:
                part.mul_(1 - rate * self.decays[place])
            part.addcdiv_(mean, size, value=-rate / correction)


def clipped(slopes: Sequence[Tensor], largest: float, members: int, total: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The gradients, scaled in place so that each member's norm over all of them is at most `largest`.

    Args:
        slopes: each with an axis of K members first, or of K x P numbers.
        largest: norm.
        members: K.
        total: sums over the processes that share a gradient.
    """
    rows = [slope.view(members, slope.numel() // members) for slope in slopes]
    norm = total(torch.stack([row.square().sum(1) for row in rows]).sum(0)).sqrt()
    scale = (largest / (norm + 1e-6)).clamp(max=1.0).unsqueeze(1)
    return [row.mul_(scale).view(slope.shape) for row, slope in zip(rows, slopes, strict=True)]
