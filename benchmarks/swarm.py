"""Tokens a second of proxies: packed and alone beside an eager transformers loop, and runs side by side on the cores.

    python benchmarks/swarm.py [--sizes 1M 4M]

The same model, tokens, clipping and AdamW in every column, on one device in one run; rounds are interleaved and the
fastest of each column counts, so that what else runs on the machine weighs on all alike. On a GPU our steps are
compiled and in bfloat16, as is the loop's precision, and the share of the maker's peak is shown (MFU). Where a step is
short, one column more replays the passes of a member from CUDA graphs (torch.compile's "reduce-overhead"), which
`mixlaw train` does not do: it tells whether that would pay. On a CPU one column is compiled, which takes the time that
is told beside it, and a second table shows what a second thread and a second process bring: from the two follow one
member a pack, one thread a run and one run a core (`mixlaw.launch.packing`). Prints what it writes to
benchmarks/results/swarm.md, where each device has its section. Needs no network and no mixlaw on the path of the
interpreter but the repository's folder (PYTHONPATH=.).
"""

import argparse
import gc
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from reference import RESULTS, markdown, write_results
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from mixlaw.plan import Training
from mixlaw.train.device import Compute
from mixlaw.train.ladder import shape_of
from mixlaw.train.model import Layout, pack_loss, rotary
from mixlaw.train.optimizer import BETAS, Optimizer
from mixlaw.train.pack import Pack
from mixlaw.train.pretrained import llama_config

ROUNDS, ROUND_S = 4, 0.6
CORE_ROUNDS, CORE_S = 2, 2.0
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bfloat16, as the makers state it."""

GRAPHS = "reduce-overhead"
"""The mode of torch.compile that replays CUDA graphs; it records them at the second step."""

WARM_STEPS = 3
"""Before anything is timed on a GPU, so that graphs are recorded by then."""

GRAPHED_TOKENS = 4096
"""Of a step up to which CUDA graphs are tried on a GPU: a longer one hides the time that launching it takes."""

IDLE = 0.5
"""Load average up to which the wall time of several threads means something."""

RESULT = "swarm.md"

Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """One row of the table: a size, how many tokens of what vocabulary a member reads a step, and packs to try."""

    size: str
    batch_tokens: int
    vocabulary: int = 1024
    length: int = 128
    packs: tuple[int, ...] = (4, 8)

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
    Case("4M", 1024, packs=()),
    Case("14M", 1024, packs=()),
    Case("70M", 1024, packs=()),
)
GPU_CASES = tuple(
    Case(size, batch, vocabulary, 512, packs=(8,))
    for size in ("0.4M", "1M", "4M", "14M", "70M")
    for batch, vocabulary in ((4096, 8192), (16384, 8192), (16384, 50304))
)


def ours(case: Case, members: int, compute: Compute, mode: str = "default") -> Step:
    """A step of a pack, as `mixlaw train` takes it, or compiled in another mode."""
    pack = Pack.of(case.layout, range(members), compute.device, torch.float32)
    optimizer = Optimizer(pack, Training())
    turn = rotary(case.length, case.layout.shape.head_width, compute.device, torch.float32)
    batch = case.batch(members, compute.device)
    loss = torch.compile(pack_loss, dynamic=False, mode=mode) if compute.compiled else pack_loss

    def step() -> None:
        if mode == GRAPHS:
            torch.compiler.cudagraph_mark_step_begin()  # what the step before left in its graphs may be overwritten
        with compute.precision():
            total = loss(case.layout, *pack.buffers, batch, turn).sum()
        torch.autograd.backward(total)
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


def ways_of(case: Case, compute: Compute) -> dict[str, tuple[Callable[[], Step], int]]:
    """What makes a step of every column, and how many members it trains."""
    compiled = replace(compute, compiled=True)
    ways = {"transformers": (partial(eager, case, compute), 1)}
    if not compute.compiled:
        ways["alone"] = partial(ours, case, 1, compute), 1
    ways["alone, compiled"] = partial(ours, case, 1, compiled), 1
    if compute.device.type == "cuda" and case.batch_tokens <= GRAPHED_TOKENS:
        ways["alone, in graphs"] = partial(ours, case, 1, compiled, GRAPHS), 1
    return ways | {f"packed by {members}": (partial(ours, case, members, compute), members) for members in case.packs}


def side_by_side(case: Case, compute: Compute) -> tuple[dict[str, float], float]:
    """Tokens a second of every way, the fastest of interleaved rounds, and the seconds that compiling took.

    A way that lacks memory, or fails otherwise, has none; why is printed.
    """
    steps: dict[str, tuple[Step, int]] = {}
    compiling_s = 0.0
    for name, (make, members) in ways_of(case, compute).items():
        start = time.perf_counter()
        try:
            step = make()
            for _ in range(WARM_STEPS if compute.device.type == "cuda" else 1):
                step()
        except RuntimeError as error:  # torch.OutOfMemoryError among them
            print(f"{case.size}, {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        if name == "alone, compiled":
            compiling_s = time.perf_counter() - start
        steps[name] = step, members
    best = dict.fromkeys(steps, 0.0)
    for _ in range(ROUNDS):
        for name, (step, members) in steps.items():
            best[name] = max(best[name], members * case.batch_tokens * pace(step, compute))
    steps.clear()
    gc.collect()
    torch.compiler.reset()
    if compute.device.type == "cuda":
        torch.cuda.empty_cache()
    return best, compiling_s


def on_the_cores(case: Case) -> dict[str, float]:
    """Tokens a second of wall time: one process with a thread, one with two, and two processes with a thread each."""
    ways = {"1 process x 1 thread": (1, 1), "1 x 2": (1, 2), "2 x 1": (2, 1)}
    best = dict.fromkeys(ways, 0.0)
    for _ in range(CORE_ROUNDS):
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
    while time.perf_counter() - start < CORE_S:
        step()
        steps += 1
    print(steps * batch_tokens / (time.perf_counter() - start))


def table(cases: Sequence[Case], compute: Compute, peak: float | None) -> str:
    """Every case, measured; a way that was not tried, or failed, is a dash."""
    names = list(dict.fromkeys(name for case in cases for name in ways_of(case, compute)))
    headings = ["size", "vocabulary", "tokens a step", "transformers, thousand tokens/s"]
    headings += [f"{name} / it" for name in names[1:]] + ["compiling, s"]
    headings += [f"{name}: MFU" for name in names] if peak else []
    rows = []
    for case in cases:
        found, compiling_s = side_by_side(case, compute)
        first = found["transformers"]
        row = [case.size, f"{case.vocabulary}", f"{case.batch_tokens}", f"{first / 1e3:.1f}"]
        row += [f"{found[name] / first:.2f}" if name in found else "-" for name in names[1:]] + [f"{compiling_s:.0f}"]
        row += [f"{found[name] * case.flops / peak:.1%}" if name in found else "-" for name in names] if peak else []
        rows.append(row)
        print(" ".join(row), flush=True)
    return markdown(headings, rows)


def cores_table() -> str:
    """What a second thread and a second process bring on a CPU."""
    rows = []
    for case in (Case("0.1M", 1024), Case("4M", 1024)):
        found = on_the_cores(case)
        first = found["1 process x 1 thread"]
        rows.append([case.size, f"{first / 1e3:.1f}", *(f"{found[way] / first:.2f}" for way in ("1 x 2", "2 x 1"))])
    headings = ["size", "1 process x 1 thread, thousand tokens/s", "1 x 2 threads / it", "2 processes x 1 / it"]
    return markdown(headings, rows)


def cpu_name() -> str:
    """As the kernel calls it."""
    information = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", information.read_text()) if information.is_file() else None
    return f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores, one thread"


def write_section(title: str, parts: Sequence[str]) -> None:
    """Put a device's section into the results, in place of its earlier one."""
    path = RESULTS / RESULT
    before = path.read_text(encoding="utf-8").strip().split("\n\n## ")[1:] if path.is_file() else []
    sections = {section.split("\n")[0]: section for section in before}
    sections[title] = "\n\n".join([title, *parts])
    write_results(
        RESULT, ["# Proxies beside an eager transformers loop", *(f"## {text}" for text in sections.values())]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", nargs=3, metavar=("SIZE", "TOKENS", "THREADS"), help="one member, for the cores")
    parser.add_argument("--sizes", nargs="+", help="only these sizes, in a section of their own")
    given, load = parser.parse_args(), os.getloadavg()[0]
    if given.alone:
        alone(given.alone[0], int(given.alone[1]), int(given.alone[2]))
        return
    gpu = torch.cuda.is_available()
    compute = Compute(torch.device("cuda"), bfloat16=True, compiled=True) if gpu else Compute(torch.device("cpu"))
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if gpu else cpu_name()
    peak = next((flops for key, flops in PEAK_FLOPS.items() if key in name), None)
    cases = [case for case in (GPU_CASES if gpu else CPU_CASES) if not given.sizes or case.size in given.sizes]
    parts = [table(cases, compute, peak)]
    if not gpu and not given.sizes:
        busy = f"Others kept the cores busy (load average {load:.1f}), so threads and processes were not compared."
        parts.append(busy if load > IDLE else cores_table())
    title = f"{name}, torch {torch.__version__}" + (f": {', '.join(given.sizes)}" if given.sizes else "")
    print("\n\n".join([title, *parts]))
    write_section(title, parts)


if __name__ == "__main__":
    main()
