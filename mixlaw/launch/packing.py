"""Where runs are trained, how many of them as one, how many packs at a time, and with how many threads."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from mixlaw.errors import Refused
from mixlaw.launch.history import Begun
from mixlaw.launch.price import tokens_per_s
from mixlaw.plan import Plan, Training
from mixlaw.train.device import Compute, compute_of, on_cpu
from mixlaw.train.members import Member, Setting

LARGEST = 32
"""Members of a pack, at most."""

WORTH = 1.05
"""A pack twice as large has to train so many times more tokens a second."""

SHARED_PARAMS = 2_000_000
"""Below this size a step is too short for threads to share: on a busy machine they wait for each other for longer."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much of the cores a container may use: microseconds in so many microseconds, or "max"."""


def cores() -> int:
    """Cores this process may use: those it is bound to, and no more than a container's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = QUOTA.read_text().partition(" ") if QUOTA.is_file() else ("max", "", "")
    return bound if quota == "max" else max(1, min(bound, int(quota) // int(period)))


def compute_of_workers(plan: Plan) -> Compute:
    """Where the workers of a plan compute: here, or what each is given on a cluster.

    Raises:
        Refused: if the plan gives its workers a GPU that its training is not to use, or none that it needs.
    """
    training, launch = plan.training, plan.launch
    if launch.engine == "local":
        return compute_of(training)
    if launch.gpus and training.device == "cpu":
        raise Refused(
            f"launch.gpus is {launch.gpus} and training.device is 'cpu'; write device = \"auto\", or gpus = 0"
        )
    if not launch.gpus and training.device == "cuda":
        raise Refused("training.device is 'cuda' and launch.gpus is 0; write gpus = 1")
    if launch.gpus:
        return Compute(
            torch.device("cuda"), bfloat16=training.precision != "float32", compiled=training.compile is not False
        )
    return on_cpu(training)


def default_workers(training: Training) -> int:
    """Packs trained at a time on this machine: one a GPU, or one a core.

    On a CPU, two runs on two cores with a thread each end sooner than one run on both, and a thread more would change
    the bits of a run (`make bench-swarm`).
    """
    gpus = torch.cuda.device_count() if training.device != "cpu" else 0
    return gpus or cores()


def workers_of(plan: Plan) -> int:
    """Workers that a plan's runs are shared by, as far as this machine can tell."""
    return plan.launch.workers or (default_workers(plan.training) if plan.launch.engine == "local" else 1)


def on_gpu(plan: Plan) -> bool:
    """Whether a plan's runs are trained on GPUs."""
    return compute_of_workers(plan).device.type == "cuda"


def threads_of(member: Member, begun: Iterable[Begun], cpus: int) -> int:
    """Threads of the CPU for a run: as runs of its size began, else one, or all of a worker's for large runs.

    One and two threads sum in another order and drift apart, so a study keeps to what it began with.
    """
    for other in begun:
        if other.member.size == member.size and other.member.full == member.full:
            return other.threads
    return 1 if member.shape.params < SHARED_PARAMS else max(1, cpus)


def pack_size(members: Sequence[Member], setting: Setting, vocabulary: int) -> int:
    """Members of one size to train as one.

    On a CPU one: a pack is faster than its members in turn only where a step has a few hundred tokens
    (`make bench-swarm`), and the last bits of a run would depend on who else is in its pack, which a kill may change.
    On a GPU, doubled for as long as that pays by 5%, measured on the device for a second each.
    """
    compute = compute_of(setting.training)
    if compute.device.type == "cpu" or members[0].full:
        return 1
    best, rate = 1, tokens_per_s(members[0], setting, vocabulary, compute)
    while best < min(LARGEST, len(members)):
        try:
            larger = tokens_per_s(members[0], setting, vocabulary, compute, members=2 * best)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        if larger < WORTH * rate:
            break
        best, rate = 2 * best, larger
    return min(best, len(members))
