"""The processes that train one run together: each reads a slice of every batch, and all know the same.

Everything that decides what happens next (losses of sequences, gradients, validation losses) is summed over the
processes before it is used, so the order of data, the mixture and the weights are the same function of the step on
each of them, whatever their number; only the rounding of sums differs.
"""

import json
import os
import sys
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
        text = json.dumps(content).encode() if self.first else b""
        length = self.add(torch.tensor([len(text)], dtype=torch.int64))
        data = torch.zeros(int(length), dtype=torch.uint8)
        if self.first:
            data.copy_(torch.from_numpy(np.frombuffer(text, dtype=np.uint8).copy()))
        distributed.broadcast(data, 0)
        return json.loads(data.numpy().tobytes())

    def agree(self, due: bool) -> bool:
        """Whether something is due by the clock of the first process; asked from CPU to CPU, no GPU waits."""
        if self.count == 1:
            return due
        answer = torch.tensor([due], dtype=torch.uint8)
        distributed.broadcast(answer, 0)
        return bool(answer)

    def check_step(self, step: int) -> int:
        """The step that all go on after, found by each for itself.

        Raises:
            Refused: if this process found another than the first.
        """
        first = int(self.told(step if self.first else None))
        if first != step:
            raise Refused(
                f"the first process goes on after step {first} and process {self.rank} after step {step}: they do not "
                "see the same checkpoints; put the study on a file system that all of them see"
            )
        return step

    def meet(self) -> None:
        """Wait for all; a process that just ended could break the connections of one still at work."""
        if self.count > 1:
            distributed.barrier()

    def part(self) -> None:
        """End this process well if it is one of several, once they have met and all is written.

        At once, since PyTorch's threads and Python do not always get past one another when both are taken down: of 16
        runs of two processes on a busy CPU two were aborted after their last word ("terminate called").
        """
        if self.count > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


ALONE = Processes()


TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What `torchrun` tells each of its processes through the environment."""


def together() -> Processes:
    """This process among those that `torchrun` started; alone, if it did not.

    A WORLD_SIZE that a cluster sets for every shell means nothing without a rank. The first call joins the others:
    tensors on GPUs meet through NCCL where every process has a GPU of its own, all others through gloo.

    Raises:
        Refused: for a process that has a rank among several but was not told where to meet the others.
    """
    environment = os.environ
    if "RANK" not in environment or environment.get("WORLD_SIZE", "1") == "1":
        return ALONE
    missing = [name for name in TOLD if name not in environment]
    if missing:
        raise Refused(
            f"RANK is {environment['RANK']} and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; "
            "start the processes with torchrun, which sets all of them, or unset RANK to train in this one alone"
        )
    if not distributed.is_initialized():
        gpus, place = torch.cuda.device_count(), int(environment["LOCAL_RANK"])
        if gpus > place:
            torch.cuda.set_device(place)
        each = gpus >= int(environment.get("LOCAL_WORLD_SIZE", environment["WORLD_SIZE"]))
        distributed.init_process_group("cpu:gloo,cuda:nccl" if each else "gloo", timeout=PATIENCE)
    return Processes(distributed.get_rank(), distributed.get_world_size())
