"""Where a run computes, and in which precision."""

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from mixlaw.errors import Refused
from mixlaw.plan import Training


@dataclass(frozen=True)
class Compute:
    """A device and the precision of its matrix products.

    Weights, moments, norms and losses are float32 in any case; with `bfloat16` the matrix products and the attention
    read rounded copies (automatic mixed precision).

    Attributes:
        device: where the buffers lie.
        bfloat16: whether matrix products are in bfloat16.
        compiled: whether the step is compiled by `torch.compile`.
    """

    device: torch.device
    bfloat16: bool = False
    compiled: bool = False

    def precision(self) -> AbstractContextManager[object]:
        """The context in which losses are computed."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()


def compute_of(training: Training) -> Compute:
    """Choose as the plan says: with "auto", the GPU if there is one, in bfloat16 where it is fast, compiled.

    Raises:
        Refused: if the plan asks for a GPU and there is none, or for steps that cannot be compiled here.
    """
    available = torch.cuda.is_available()
    if training.device == "cuda" and not available:
        raise Refused("training.device is 'cuda', and torch finds no GPU here; write 'auto' or 'cpu'")
    if training.device == "cpu" or not available:
        return on_cpu(training)
    bfloat16 = training.precision != "float32" and torch.cuda.is_bf16_supported()
    return Compute(torch.device("cuda"), bfloat16=bfloat16, compiled=training.compile is not False)


def on_cpu(training: Training) -> Compute:
    """Compute on the CPU: in float32 and step by step, unless the plan says otherwise.

    Raises:
        Refused: if the plan asks for compiled steps and there is no C++ compiler.
    """
    compiled = training.compile is True
    if compiled and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise Refused(
            "training.compile is true, and there is no g++ or clang++ here to compile steps for the CPU with; install "
            'one, or write compile = "auto"'
        )
    return Compute(torch.device("cpu"), bfloat16=training.precision == "bfloat16", compiled=compiled)
