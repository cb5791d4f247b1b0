"""AdamW over the two buffers of a pack, with the gradient of each member clipped by its own norm."""

import torch
from torch import Tensor

from mixlaw.plan import Training
from mixlaw.train.model import Pack

BETAS = (0.9, 0.95)
"""Decay of AdamW's two moments, as most language models use."""


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019, 1711.05101) in its fused form: one pass over memory a buffer.

    The moments of member k depend on member k alone, so a pack steps as its members would.

    Args:
        pack: whose buffers are stepped; only the matrices decay.
        training: weight decay and clip.
    """

    def __init__(self, pack: Pack, training: Training) -> None:
        self.pack = pack
        self.clip = training.clip
        groups = [
            {"params": [pack.matrices], "weight_decay": training.weight_decay},
            {"params": [pack.others], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=1.0, betas=BETAS, fused=True)

    def step(self, rate: float) -> None:
        """Move every member against its clipped gradient, and forget the gradients."""
        clip_each(self.pack.buffers, self.clip)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """The moments and the count of steps, by name."""
        return {
            f"{name}.{key}": value
            for name, buffer in zip(("matrices", "others"), self.pack.buffers, strict=True)
            for key, value in self.adamw.state[buffer].items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        for name, buffer in zip(("matrices", "others"), self.pack.buffers, strict=True):
            self.adamw.state[buffer] = {
                key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")
            }


def clip_each(buffers: tuple[Tensor, ...], largest: float) -> None:
    """Scale the gradient of each member so that its norm over all buffers is at most `largest`."""
    slopes = [buffer.grad for buffer in buffers if buffer.grad is not None]
    norm = torch.stack([slope.square().sum(1) for slope in slopes]).sum(0).sqrt()
    scale = (largest / (norm + 1e-6)).clamp(max=1.0).unsqueeze(1)
    for slope in slopes:
        slope.mul_(scale)
