"""Models of several processes, through PyTorch's own data parallelism: each holds them whole, or a share of them."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.nn.parallel import DistributedDataParallel

from mixlaw.train.cross_entropy import head_loss, mean_head_loss, token_head_loss
from mixlaw.train.decoder import Decoder, by_block, by_member
from mixlaw.train.device import Compute
from mixlaw.train.model import Buffers, Layout, Turn
from mixlaw.train.network import Network
from mixlaw.train.processes import Processes


def parallel(
    layout: Layout, members: int, compute: Compute, processes: Processes, *, sharded: bool
) -> "Replicated | Sharded":
    """A network of several processes, with no weights yet.

    Raises:
        ValueError: if several members are to be shared out.
    """
    if not sharded:
        return Replicated(layout, members, compute)
    if members > 1:
        raise ValueError(f"{members} members are shared out together; one is, at a time")
    return Sharded(layout, compute, processes)


class Parallel(Network):
    """A decoder that several processes train together.

    Attributes:
        decoder: the modules.
        trained: what is called for a loss that has gradients.
    """

    decoder: Decoder
    trained: nn.Module

    def losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """See `Network.losses`."""
        found: Tensor = self.trained(tokens, turn, mean_head_loss)
        return found

    def weighable_losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """See `Network.weighable_losses`."""
        found: Tensor = self.trained(tokens, turn, token_head_loss)
        return found.view(tokens.shape[0], tokens.shape[1], -1)

    @torch.no_grad()
    def token_losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """See `Network.token_losses`."""
        found: Tensor = self.decoder(tokens, turn, head_loss)
        return found.view(tokens.shape[0], tokens.shape[1], -1)

    def slopes(self) -> tuple[Tensor, ...]:
        """See `Network.slopes`."""
        found = []
        for weight in self.decoder.in_order:
            if weight.grad is None:
                raise ValueError("a parameter has no gradient: no loss was pushed back since the last was taken")
            found.append(_kept(weight.grad))
            weight.grad = None
        return tuple(found)


class Replicated(Parallel):
    """Whole models in every process; gradients are averaged block by block while those of earlier blocks are computed.

    Args:
        layout: what a member is made of.
        members: K.
        compute: where, and whether compiled.
        trained: whether they are; a twin is not.
    """

    def __init__(self, layout: Layout, members: int, compute: Compute, *, trained: bool = True) -> None:
        self.layout, self.members, self.compute = layout, members, compute
        self.decoder = Decoder(layout, members, compiled=compute.compiled).to(compute.device)
        self.parts = tuple(weight.detach() for weight in self.decoder.in_order)
        self.trained = DistributedDataParallel(self.decoder) if trained else self.decoder

    def twin(self) -> "Replicated":
        """See `Network.twin`."""
        twin = Replicated(self.layout, self.members, self.compute, trained=False)
        _copy(self.parts, twin.parts)
        return twin

    def local(self, buffers: Buffers) -> tuple[Tensor, ...]:
        """See `Network.local`."""
        matrices, others = (buffer.expand(self.members, -1) for buffer in buffers)
        return by_block(self.layout, (matrices, others))

    def whole(self, parts: tuple[Tensor, ...]) -> Buffers:
        """See `Network.whole`."""
        return by_member(self.members, parts)

    def piecewise(self) -> AbstractContextManager[object]:
        """See `Network.piecewise`: nothing is exchanged yet."""
        if not isinstance(self.trained, DistributedDataParallel):
            raise ValueError("a twin is not trained")
        found: AbstractContextManager[object] = self.trained.no_sync()
        return found


class Sharded(Parallel):
    """One model whose weights, gradients and moments are shared out, a slice of every block to each process.

    A block's weights are gathered when a pass reaches it and given up when the pass has left it (Zhao et al. 2023,
    2304.11277, in PyTorch's second form, `fully_shard`). With bfloat16 they are gathered so rounded; the shares and the
    sums of gradients are float32.

    Args:
        layout: what the model is made of.
        compute: where and how precisely.
        processes: among which it is shared out.
    """

    members = 1

    def __init__(self, layout: Layout, compute: Compute, processes: Processes) -> None:
        self.layout, self.compute, self.processes = layout, compute, processes
        self.mesh = init_device_mesh(compute.device.type, (processes.count,))
        with torch.device("meta"):
            decoder = Decoder(layout, 1, compiled=compute.compiled)
        rounded = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if compute.bfloat16 else None,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        )
        for block in decoder.blocks:
            fully_shard(block, mesh=self.mesh, mp_policy=rounded)
        # else the embedding would stay gathered after a pass without gradients, and be old at the next
        fully_shard(decoder, mesh=self.mesh, reshard_after_forward=True)
        self.decoder = self.trained = decoder.to_empty(device=compute.device)
        self.sizes = tuple(weight.shape for weight in decoder.in_order)
        self.parts = tuple(_kept(weight.detach()) for weight in decoder.in_order)

    def twin(self) -> "Sharded":
        """See `Network.twin`."""
        twin = Sharded(self.layout, self.compute, self.processes)
        _copy(self.parts, twin.parts)
        return twin

    def local(self, buffers: Buffers) -> tuple[Tensor, ...]:
        """See `Network.local`: `fully_shard` cuts as `torch.chunk` does."""
        rank, count = self.processes.rank, self.processes.count
        chunks = [part.chunk(count) for part in by_block(self.layout, buffers)]
        return tuple(some[rank] if rank < len(some) else some[0][:0] for some in chunks)

    def whole(self, parts: tuple[Tensor, ...]) -> Buffers:
        """See `Network.whole`: part by part, on the CPU of the first process; the others are left with nothing."""
        found = []
        for part, size in zip(parts, self.sizes, strict=True):
            shared = DTensor.from_local(part, self.mesh, [Shard(0)], run_check=False, shape=size, stride=(1,))
            gathered = shared.full_tensor()
            found.append(gathered.cpu() if self.processes.first else gathered.new_empty(0, device="cpu"))
        return by_member(1, tuple(found))

    def total(self, value: Tensor) -> Tensor:
        """See `Network.total`."""
        distributed.all_reduce(value)
        return value


def _kept(tensor: Tensor) -> Tensor:
    """What this process keeps of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def _copy(parts: tuple[Tensor, ...], into: tuple[Tensor, ...]) -> None:
    for part, place in zip(parts, into, strict=True):
        place.copy_(part)
