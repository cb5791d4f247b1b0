"""Tokens a second of proxies: packed and alone beside an eager transformers loop, and runs side by side on the cores.

    python benchmarks/swarm.py

The same model, tokens, clipping and AdamW in every column; rounds are interleaved and the fastest of each column
counts, so that what else runs on the machine weighs on all alike. Prints two tables and writes them to
benchmarks/results/swarm-<device>.md. On a GPU the sizes are larger, the precision is bfloat16, and the share of the
peak is shown.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from reference import markdown, write_results
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from mixlaw.plan import Training
from mixlaw.train.device import Compute
from mixlaw.train.ladder import shape_of
from mixlaw.train.model import Layout, Pack, pack_loss, rotary
from mixlaw.train.optimizer import BETAS, Optimizer
from mixlaw.train.pretrained import llama_config

ROUNDS, ROUND_S = 5, 0.6
PACKS = (1, 4, 8)
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bfloat16, as the makers state it."""

Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """One row of the table: a size, and how many tokens of what vocabulary a member reads a step."""

    size: str
    batch_tokens: int
    vocabulary: int = 1024
    length: int = 128

    @property
    def layout(self) -> Layout:
        """What a member is made of."""
        return Layout(shape_of(self.size), self.vocabulary)

    @property
    def flops(self) -> float:
        """Operations of a trained token."""
        return shape_of(self.size).flops_per_token(self.vocabulary, self.length)

    def batch(self, members: int, device: torch.device) -> torch.Tensor:
        """Tokens drawn at random: what they are does not change the time."""
        size = members, self.batch_tokens // self.length, self.length + 1
        return torch.randint(self.vocabulary, size, generator=torch.Generator().manual_seed(0)).to(device)


CPU_CASES = (
    Case("0.03M", 256, length=64),
    Case("0.03M", 1024),
    Case("0.1M", 256, length=64),
    Case("0.1M", 1024),
    Case("0.1M", 4096),
    Case("0.4M", 1024),
    Case("1M", 1024),
)
GPU_CASES = tuple(
    Case(size, batch, vocabulary, 512)
    for size in ("0.4M", "1M", "4M", "14M", "70M")
    for batch, vocabulary in ((4096, 8192), (16384, 8192), (16384, 50304))
)


def ours(case: Case, members: int, compute: Compute) -> Step:
    """A step of a pack, as `mixlaw train` takes it."""
    pack = Pack.of(case.layout, range(members), compute.device, torch.float32)
    optimizer = Optimizer(pack, Training())
    turn = rotary(case.length, case.layout.shape.head_width, compute.device, torch.float32)
    batch = case.batch(members, compute.device)
    loss = torch.compile(pack_loss) if compute.compiled else pack_loss

    def step() -> None:
        with compute.precision():
            total = loss(case.layout, *pack.buffers, batch, turn).sum()
        total.backward()
        optimizer.step(1e-4)

    return step


def eager(case: Case, compute: Compute) -> Step:
    """A step of the same model in transformers, as a plain loop takes it."""
    model = LlamaForCausalLM(LlamaConfig.from_dict(llama_config(case.layout, case.length))).to(compute.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=BETAS, weight_decay=0.1)
    batch = case.batch(1, compute.device)[0]

    def step() -> None:
        with compute.precision():
            logits = model(batch[:, :-1], use_cache=False).logits
        functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def pace(step: Step, compute: Compute, seconds: float = ROUND_S) -> float:
    """Steps a second over a round: of this process's own time on a CPU, where others may be at work."""
    clock = time.perf_counter if compute.device.type == "cuda" else time.process_time
    steps, start = 0, clock()
    while clock() - start < seconds:
        step()
        steps += 1
        if compute.device.type == "cuda" and steps % 10 == 0:
            torch.cuda.synchronize()
    if compute.device.type == "cuda":
        torch.cuda.synchronize()
    return steps / (clock() - start)


def side_by_side(case: Case, compute: Compute) -> dict[str, float]:
    """Tokens a second of every way, the fastest of interleaved rounds."""
    steps = {"transformers": (eager(case, compute), 1)} | {f"K={k}": (ours(case, k, compute), k) for k in PACKS}
    best = dict.fromkeys(steps, 0.0)
    for step, _ in steps.values():
        step()
    for _ in range(ROUNDS):
        for name, (step, members) in steps.items():
            best[name] = max(best[name], members * case.batch_tokens * pace(step, compute))
    return best


def on_the_cores(case: Case) -> dict[str, float]:
    """Tokens a second of wall time: one process with a thread, one with two, and two processes with a thread each."""
    ways = {"1 process x 1 thread": (1, 1), "1 x 2": (1, 2), "2 x 1": (2, 1)}
    best = dict.fromkeys(ways, 0.0)
    for _ in range(3):
        for name, (processes, threads) in ways.items():
            command = [sys.executable, __file__, "--alone", case.size, str(case.batch_tokens), str(threads)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(processes)]
            best[name] = max(best[name], sum(float(process.communicate()[0]) for process in running))
    return best


def alone(size: str, batch_tokens: int, threads: int) -> None:
    """Print the tokens a second of wall time of one member."""
    torch.set_num_threads(threads)
    case, compute = Case(size, batch_tokens), Compute(torch.device("cpu"))
    step = ours(case, 1, compute)
    step()
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < 3:
        step()
        steps += 1
    print(steps * batch_tokens / (time.perf_counter() - start))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", nargs=3, metavar=("SIZE", "TOKENS", "THREADS"))
    given = parser.parse_args().alone
    if given:
        alone(given[0], int(given[1]), int(given[2]))
        return
    gpu = torch.cuda.is_available()
    compute = Compute(torch.device("cuda"), bfloat16=True, compiled=True) if gpu else Compute(torch.device("cpu"))
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if gpu else f"{platform.machine()} CPU, one thread"
    peak = next((flops for key, flops in PEAK_FLOPS.items() if key in name), None)
    rows = []
    for case in GPU_CASES if gpu else CPU_CASES:
        found = side_by_side(case, compute)
        ratios = [f"{found[f'K={k}'] / found['transformers']:.2f}" for k in PACKS]
        row = [case.size, f"{case.vocabulary}", f"{case.batch_tokens}", f"{found['transformers'] / 1e3:.1f}", *ratios]
        rows.append(row + ([f"{max(found.values()) * case.flops / peak:.0%}"] if peak else []))
        print(" ".join(row), flush=True)
    headings = [
        "size",
        "vocabulary",
        "tokens a step",
        "transformers, thousand tokens/s",
        *(f"K={k} / it" for k in PACKS),
    ]
    sections = [f"{name}, torch {torch.__version__}", markdown(headings + (["of the peak"] if peak else []), rows)]
    if not gpu:
        sections.append(cores_table())
    print("\n\n".join(sections))
    write_results("swarm-gpu.md" if gpu else "swarm-cpu.md", sections)


def cores_table() -> str:
    """What a second thread and a second process bring on a CPU."""
    rows = []
    for case in (Case("0.1M", 1024), Case("1M", 1024), Case("4M", 1024)):
        found = on_the_cores(case)
        first = found["1 process x 1 thread"]
        rows.append([case.size, f"{first / 1e3:.1f}", *(f"{found[way] / first:.2f}" for way in ("1 x 2", "2 x 1"))])
    headings = ["size", "1 process x 1 thread, thousand tokens/s", "1 x 2 threads / it", "2 processes x 1 / it"]
    return markdown(headings, rows)


if __name__ == "__main__":
    main()
