"""How many members to train as one, and how many packs at a time."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from mixlaw.launch.price import tokens_per_s
from mixlaw.train.device import compute_of
from mixlaw.train.members import Member, Setting

LARGEST = 32
"""Members of a pack, at most."""

WORTH = 1.05
"""A pack twice as large has to train so many times more tokens a second."""


QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much of the cores a container may use: microseconds in so many microseconds, or "max"."""


def cores() -> int:
    """Cores this process may use: those it is bound to, and no more than a container's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = QUOTA.read_text().partition(" ") if QUOTA.is_file() else ("max", "", "")
    return bound if quota == "max" else max(1, min(bound, int(quota) // int(period)))


def default_workers(setting: Setting) -> int:
    """Packs trained at a time: one a GPU, or one a core.

    On a CPU, two runs on two cores with a thread each end sooner than one run on both, and a thread more would change
    the bits of a run (`make bench-swarm`).
    """
    gpus = torch.cuda.device_count() if setting.training.device != "cpu" else 0
    return gpus or cores()


def pack_size(members: Sequence[Member], setting: Setting, vocabulary: int) -> int:
    """Members of one size to train as one.

    On a CPU one: a pack is no faster than its members in turn, but for steps of a few hundred tokens
    (`make bench-swarm`). On a GPU, doubled for as long as that pays by 5%, measured on the device for a second each.
    """
    compute = compute_of(setting.training)
    if compute.device.type == "cpu" or members[0].full:
        return 1
    best, rate = 1, tokens_per_s(members[0], setting, vocabulary, compute)
    while best < min(LARGEST, len(members)):
        try:
            larger = tokens_per_s(members[0], setting, vocabulary, compute, members=2 * best)
        except torch.OutOfMemoryError:
            break
        if larger < WORTH * rate:
            break
        best, rate = 2 * best, larger
    return min(best, len(members))
