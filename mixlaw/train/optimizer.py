"""AdamW over the two buffers of a pack, with the gradient of each member clipped by its own norm."""

import torch
from torch import Tensor

from mixlaw.plan import Training
from mixlaw.train.model import Pack

BETAS = (0.9, 0.95)
"""Decay of the two moments, as most language models use."""

EPSILON = 1e-8


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019, 1711.05101) in a few passes over each buffer, however many weights it holds.

    The moments of member k depend on member k alone, so a pack steps as its members would. Only the matrices decay.
    Written out because importing `torch.optim` takes as long as importing torch, in every worker.

    Args:
        pack: whose buffers are stepped.
        training: weight decay and clip.
    """

    def __init__(self, pack: Pack, training: Training) -> None:
        self.buffers, self.clip = pack.buffers, training.clip
        self.decays = (training.weight_decay, 0.0)
        self.means = tuple(torch.zeros_like(buffer, requires_grad=False) for buffer in self.buffers)
        self.squares = tuple(torch.zeros_like(buffer, requires_grad=False) for buffer in self.buffers)
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every member against its clipped gradient, and forget the gradients."""
        slopes = clipped(self.buffers, self.clip)
        self.steps += 1
        correction, square_correction = (1 - beta**self.steps for beta in BETAS)
        for place, (buffer, slope) in enumerate(zip(self.buffers, slopes, strict=True)):
            mean, square = self.means[place], self.squares[place]
            mean.lerp_(slope, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
            size = (square / square_correction).sqrt_().add_(EPSILON)
            if self.decays[place]:
                buffer.mul_(1 - rate * self.decays[place])
            buffer.addcdiv_(mean, size, value=-rate / correction)
            buffer.grad = None

    def state(self) -> dict[str, Tensor]:
        """The moments by name; the count of steps is the run's."""
        return {f"mean.{place}": moment for place, moment in enumerate(self.means)} | {
            f"square.{place}": moment for place, moment in enumerate(self.squares)
        }

    def restore(self, steps: int, state: dict[str, Tensor]) -> None:
        """Go on from `state()` after so many steps."""
        self.steps = steps
        for name, moment in self.state().items():
            moment.copy_(state[name])


def clipped(buffers: tuple[Tensor, ...], largest: float) -> list[Tensor]:
    """The gradients, scaled in place so that each member's norm over all buffers is at most `largest`."""
    slopes = [buffer.grad for buffer in buffers if buffer.grad is not None]
    norm = torch.stack([slope.square().sum(1) for slope in slopes]).sum(0).sqrt()
    scale = (largest / (norm + 1e-6)).clamp(max=1.0).unsqueeze(1)
    return [slope.mul_(scale) for slope in slopes]
