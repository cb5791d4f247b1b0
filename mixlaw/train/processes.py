"""The processes that train one run together: each reads a slice of every batch, and all know the same.

Everything that decides what happens next (losses of sequences, gradients, validation losses) is summed over the
processes before it is used, so the order of data, the mixture and the weights are the same function of the step on
each of them, whatever their number; only the rounding of sums differs.
"""

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from mixlaw.errors import Refused
from mixlaw.mixture import Array

PATIENCE = timedelta(hours=1)
"""How long one process waits for the others before it gives up."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: of this one, from 0.
        count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, sequences: int) -> slice:
        """Which of a batch's sequences this process reads.

        Raises:
            Refused: if they cannot be shared evenly.
        """
        if sequences % self.count:
            raise Refused(
                f"{sequences} sequences a step cannot be shared evenly by {self.count} processes; change "
                "training.batch_tokens, or the number of processes"
            )
        part = sequences // self.count
        return slice(self.rank * part, (self.rank + 1) * part)

    def add(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place."""
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor

    def gathered(self, values: Tensor) -> Array:
        """(B,), the values (b,) of every process one after another, as float64 on the CPU; no rounding is involved."""
        if self.count == 1:
            alone: Array = values.double().cpu().numpy()
            return alone
        total = torch.zeros(self.count * len(values), dtype=torch.float64, device=values.device)
        total[self.rank * len(values) : (self.rank + 1) * len(values)] = values
        found: Array = self.add(total).cpu().numpy()
        return found

    def told(self, content: Any) -> Any:
        """What the first process says, as JSON; the others pass None and wait."""
        if self.count == 1:
            return content
        device = torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")
        text = json.dumps(content).encode() if self.first else b""
        length = self.add(torch.tensor([len(text)], dtype=torch.int64, device=device))
        data = torch.zeros(int(length), dtype=torch.uint8, device=device)
        if self.first:
            data.copy_(torch.from_numpy(np.frombuffer(text, dtype=np.uint8).copy()))
        distributed.broadcast(data, 0)
        return json.loads(data.cpu().numpy().tobytes())

    def part(self) -> None:
        """Wait for all and leave them; a process that just ended could break the connections of one still at work."""
        if self.count > 1:
            distributed.barrier()
            distributed.destroy_process_group()


ALONE = Processes()


def together() -> Processes:
    """This process among those that `torchrun` started; alone, if it did not.

    The first call joins them, with NCCL where every process has a GPU of its own and gloo elsewhere.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    if not distributed.is_initialized():
        gpus, place = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
        if gpus > place:
            torch.cuda.set_device(place)
        backend = "nccl" if gpus >= int(os.environ.get("LOCAL_WORLD_SIZE", count)) else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    return Processes(distributed.get_rank(), count)
