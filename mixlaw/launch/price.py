"""What a training will cost, from its plan and a short measurement on this machine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mixlaw.train.device import Compute, compute_of
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import Layout, rotary
from mixlaw.train.optimizer import Optimizer
from mixlaw.train.pack import Pack

MEASURE_S = 1.5
"""Seconds of training to measure a size by, after a first step."""

UNWATCHED = 16
"""Steps that a GPU is given before it is waited for, as a training does not wait for it either."""

FORWARD = 0.37
"""Cost of a token that is only evaluated, against one that is trained on: 0.36 to 0.38 on a CPU thread, at 0.03M, 0.1M
and 0.2M params. The products alone would make it a third."""

WORTH_SAYING = 0.15
"""Share of the time that read-outs should not exceed."""


@dataclass(frozen=True)
class Price:
    """What the runs of one size cost.

    Attributes:
        size: on the ladder.
        params: non-embedding.
        runs: of this size.
        tokens: trained on, over all runs.
        flops: to train them; the read-outs are not counted.
        vocabulary_share: of the operations, spent on the output head.
        read_out_share: of the time, spent on validation text.
        tokens_per_s: measured, of one worker.
        seconds: of one worker, read-outs included.
    """

    size: str
    params: int
    runs: int
    tokens: int
    flops: float
    vocabulary_share: float
    read_out_share: float
    tokens_per_s: float
    seconds: float


def prices(members: Sequence[Member], setting: Setting, vocabulary: int, threads: int = 1) -> list[Price]:
    """Price members by size, measuring each size for a second or two.

    Args:
        members: to train.
        setting: of the study.
        vocabulary: of its corpus.
        threads: of one worker.
    """
    compute = compute_of(setting.training)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        sizes = dict.fromkeys(member.size for member in members)
        return [
            _price([member for member in members if member.size == size], setting, vocabulary, compute)
            for size in sizes
        ]
    finally:
        torch.set_num_threads(before)


def _price(members: Sequence[Member], setting: Setting, vocabulary: int, compute: Compute) -> Price:
    training, shape = setting.training, members[0].shape
    per_token = shape.flops_per_token(vocabulary, training.sequence_length)
    tokens = sum(member.total_tokens(training) for member in members)
    evaluated = sum(len(member.tokens) for member in members) * len(setting.targets) * training.evaluation_tokens
    rate = tokens_per_s(members[0], setting, vocabulary, compute)
    return Price(
        size=members[0].size,
        params=shape.params,
        runs=len(members),
        tokens=tokens,
        flops=tokens * per_token,
        vocabulary_share=6.0 * vocabulary * shape.width / per_token,
        read_out_share=FORWARD * evaluated / (tokens + FORWARD * evaluated),
        tokens_per_s=rate,
        seconds=(tokens + FORWARD * evaluated) / rate,
    )


def tokens_per_s(member: Member, setting: Setting, vocabulary: int, compute: Compute, members: int = 1) -> float:
    """Train a pack of members like this one on noise for a moment, and count; the first step is left out.

    Returns:
        Tokens a second over all members of the pack.
    """
    if compute.compiled:
        torch.compiler.reset()  # else what was compiled for other shapes is compiled again for any shape, and is slower
    training = setting.training
    layout = Layout(member.shape, vocabulary)
    pack = Pack.of(layout, range(members), compute.device, torch.float32, compiled=compute.compiled)
    optimizer = Optimizer(pack, training)
    turn = rotary(training.sequence_length, member.shape.head_width, compute.device, torch.float32)
    size = members, training.batch_tokens // training.sequence_length, training.sequence_length + 1
    batch = torch.randint(vocabulary, size, generator=torch.Generator().manual_seed(0)).to(compute.device)
    steps, started, elapsed = -1, 0.0, 0.0
    while steps < 2 or elapsed < MEASURE_S or (compute.device.type == "cuda" and steps % UNWATCHED):
        with compute.precision():
            total = pack.losses(batch, turn).sum()
        torch.autograd.backward(total)
        optimizer.step(1e-4)
        steps += 1
        if compute.device.type == "cuda" and steps % UNWATCHED == 0:
            torch.cuda.synchronize()
        if steps == 0:
            started = time.perf_counter()
        elapsed = time.perf_counter() - started
    return members * steps * training.batch_tokens / elapsed
