"""AdamW over the weights of a network, with the gradient of each member clipped by its own norm."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from mixlaw.plan import Training
from mixlaw.train.network import Network

BETAS = (0.9, 0.95)
"""Decay of the two moments, as most language models use."""

EPSILON = 1e-8


class Optimizer:
    """PyTorch's fused AdamW (Loshchilov & Hutter 2019, 1711.05101): one pass over each part, however many weights.

    Every weight is stepped where it lies, by its own gradient and moments, so a pack steps as its members would, and
    processes that keep shares of the weights keep those shares of the moments. Only the matrices decay. The function
    behind `torch.optim.AdamW` is called, since making one imports PyTorch's compiler, in every worker, which takes as
    long as importing torch.

    Args:
        network: whose weights are stepped.
        training: weight decay and clip.

    Attributes:
        means, squares: the moments, like the parts of the network.
        counts: the steps taken so far, a number for each part, as PyTorch keeps them.
    """

    def __init__(self, network: Network, training: Training) -> None:
        self.network, self.clip, self.decay = network, training.clip, training.weight_decay
        self.means = tuple(torch.zeros_like(part) for part in network.parts)
        self.squares = tuple(torch.zeros_like(part) for part in network.parts)
        self.counts = tuple(torch.zeros((), device=part.device) for part in network.parts)

    def go_on_after(self, steps: int) -> None:
        """Take the next step as the one after so many; the moments are set by whoever knows them."""
        for count in self.counts:
            count.fill_(steps)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every member against its clipped gradient, and forget the gradients."""
        slopes = clipped(self.network.slopes(), self.clip, self.network.members, self.network.total)
        for places, decay in ((slice(None, -1), self.decay), (slice(-1, None), 0.0)):
            adamw(
                list(self.network.parts[places]),
                slopes[places],
                list(self.means[places]),
                list(self.squares[places]),
                [],
                list(self.counts[places]),
                fused=True,
                amsgrad=False,
                maximize=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate,
                weight_decay=decay,
                eps=EPSILON,
            )


def clipped(slopes: Sequence[Tensor], largest: float, members: int, total: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The gradients, scaled in place so that each member's norm over all of them is at most `largest`.

    Args:
        slopes: each with an axis of K members first, or of K x P numbers.
        largest: norm.
        members: K.
        total: sums over the processes that share a gradient.
    """
    rows = [slope.view(members, slope.numel() // members) for slope in slopes]
    norms = torch.stack([torch.linalg.vector_norm(row, dim=1) for row in rows])
    norm = total(norms.square().sum(0)).sqrt()
    scale = (largest / (norm + 1e-6)).clamp(max=1.0).unsqueeze(1)
    return [row.mul_(scale).view(slope.shape) for row, slope in zip(rows, slopes, strict=True)]
