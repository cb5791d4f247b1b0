"""What weights that move cost: every method's step beside a plain one, taken in turn in one process.

    python benchmarks/online.py

Every way takes turns of a few steps, each right after a plain turn; its cost is the median of the ratios of such
neighbours, so that what else runs on the machine weighs on both alike. A step is what `mixlaw train` does: making the
batch, forward, backward, clipping, AdamW, averaging. The update of GRAPE (7 domains, 6 targets, a batch of each) is
timed by itself, beside a plain turn too, and spread over the 100 steps between two; that of DoGE comes with every step.
Text is noise of a vocabulary of 1024 (50304 on a GPU), since what it says does not change the time. Prints a table and
writes it to benchmarks/results/online.md, or online-gpu.md.
"""

import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from reference import markdown, write_results
from safetensors.torch import save_file

from mixlaw.corpus.shards import Corpus, Shard
from mixlaw.mixture import Mixture
from mixlaw.online import Doge, Doremi, Grape, Odm
from mixlaw.online.samples import Samples
from mixlaw.plan import Training
from mixlaw.train.device import Compute
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import Layout, initial_weights, named
from mixlaw.train.pretrained import WEIGHTS, to_llama

DOMAINS = tuple("abcdefg")
TARGETS = DOMAINS[:6]
EVERY = 100
TURNS, UPDATES = 24, 4
"""How often each way takes a turn, and in how many of the turns an update is timed."""

STEPS, STEPS_CUDA = 1, 10
"""Of a turn."""

GOALS = {"linupper": 1.03, "doremi": 1.6, "grape": 1.2}


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    size: str
    batch_tokens: int
    length: int = 128
    vocabulary: int = 1024


CPU_CASES = (Case("0.1M", 4096), Case("0.4M", 2048), Case("1M", 2048))
GPU_CASES = (Case("14M", 32768, 512, 50304), Case("110M", 65536, 1024, 50304))


class Noise(Corpus):
    """A corpus of random tokens, made when asked for."""

    def tokens(self, domain: str, split: str) -> NDArray[Any]:
        """See `Corpus.tokens`."""
        count = self.shards[split][domain].tokens
        return np.random.default_rng(ord(domain)).integers(self.vocabulary_size, size=count).astype(np.uint32)


class Quiet:
    """Reports that nobody reads."""

    def measured(self, row: dict[str, Any]) -> None:
        """See `Reports`, as below."""

    def weights(self, row: dict[str, Any]) -> None:
        """A row of weights."""

    def failed(self, run: str, reason: str) -> None:
        """The end of a run."""

    def trained(self, tokens: int) -> None:
        """So many tokens."""


class Turns(PackRun):
    """A run that takes a few steps at a time."""

    def take(self, start: int, count: int) -> None:
        """Steps as `train` takes them, without what lies between."""
        for step, batch in enumerate(self.feed.batches(start, start + count, self.compute), start + 1):
            self._step(step, batch)

    def update(self, step: int) -> None:
        """The update of an online method between two steps."""
        assert self.moving is not None and self.moving.mover is not None
        self.moving.mover.change(step, 1.0)


def corpus_of(case: Case) -> Noise:
    """Enough noise for any turn."""
    shard = Shard("", 1, 1, 200_000, "")
    shards = {split: dict.fromkeys(DOMAINS, shard) for split in ("train", "validation")}
    return Noise(Path(), DOMAINS, case.vocabulary, 0, "uint32", "", shards, {}, {})


def runs_of(case: Case, compute: Compute, folder: Path) -> dict[str, Turns]:
    """A run of every way."""
    training = Training(sequence_length=case.length, batch_tokens=case.batch_tokens, evaluation_tokens=case.length)
    setting, corpus = Setting(Path(), "", DOMAINS, TARGETS, {}, training), corpus_of(case)
    mixture, tokens = Mixture.uniform(DOMAINS), (100_000 * case.batch_tokens,)
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "linupper": {"samples": Samples(burn_in=0)},
        "odm": {"online": Odm()},
        "doremi": {"online": Doremi()},
        "doge": {"online": Doge()},
        "grape": {"online": Grape(every=EVERY)},
    }
    members = {way: Member(way, way, mixture, case.size, tokens, 1, full=True, **moves) for way, moves in ways.items()}
    _save_reference(folder, Layout(members["plain"].shape, case.vocabulary))
    return {
        way: Turns([member], setting, corpus, compute, Quiet(), reference=folder) for way, member in members.items()
    }


def _save_reference(folder: Path, layout: Layout) -> None:
    matrices, others = (part.unsqueeze(0) for part in initial_weights(layout, 0))
    own = {name: weight[0] for name, weight in named(layout, matrices, others).items()}
    save_file(to_llama(layout, own), folder / WEIGHTS)


def seconds(work: Callable[[], None], compute: Compute) -> float:
    """Time of this process on a CPU, where others may be at work; of the device on a GPU."""
    clock = time.perf_counter if compute.device.type == "cuda" else time.process_time
    start = clock()
    work()
    if compute.device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def measured(case: Case, compute: Compute) -> tuple[float, dict[str, float]]:
    """Milliseconds of a plain step, and what each way's step, and each method's update, cost in plain steps."""
    count = STEPS_CUDA if compute.device.type == "cuda" else STEPS
    plain: list[float] = []
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = runs_of(case, compute, Path(folder))
        base, step = runs.pop("plain"), 0
        for turn in range(TURNS + 1):
            work: dict[str, Callable[[], None]] = {
                way: partial(run.take, turn * count, count) for way, run in runs.items()
            }
            if turn <= UPDATES:
                work |= {f"{way} update": partial(runs[way].update, EVERY * (turn + 1)) for way in ("grape", "doge")}
            for what, doing in work.items():
                beside = seconds(partial(base.take, step, count), compute) / count
                took = seconds(doing, compute) / (1 if what.endswith("update") else count)
                step += count
                if turn:  # the first compiles and warms
                    plain.append(beside)
                    found.setdefault(what, []).append(took / beside)
    return 1e3 * median(plain), {what: median(ratios) for what, ratios in found.items()}


def over_plain(steps: dict[str, float]) -> dict[str, float]:
    """Cost of each way over a plain step; updates spread over the steps between them."""
    return {
        "linupper": steps["linupper"],
        "odm": steps["odm"],
        "doremi": steps["doremi"],
        "grape": steps["grape"] + steps["grape update"] / EVERY,
        "doge": steps["doge"] + steps["doge update"],
    }


def main() -> None:
    """Measure and print."""
    gpu = torch.cuda.is_available()
    compute = Compute(torch.device("cuda"), bfloat16=True, compiled=True) if gpu else Compute(torch.device("cpu"))
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if gpu else f"{platform.machine()} CPU, one thread"
    rows = []
    for case in GPU_CASES if gpu else CPU_CASES:
        plain, steps = measured(case, compute)
        found = over_plain(steps)
        row = [case.size, f"{case.batch_tokens}", f"{plain:.1f}", *(f"{ratio:.3f}" for ratio in found.values())]
        rows.append([*row, f"{steps['grape update']:.1f}"])
        print(" ".join(rows[-1]), flush=True)
    goals = ["goal", "", "", *(f"{GOALS[way]:.2f}" if way in GOALS else "" for way in found), ""]
    headings = ["size", "tokens a step", "plain step, ms", "LinUpper", "ODM", "DoReMi proxy", "GRAPE, every 100"]
    headings += ["DoGE proxy, every step", "one GRAPE update, steps"]
    sections = [f"Cost over a plain step, {name}, torch {torch.__version__}", markdown(headings, [*rows, goals])]
    print("\n\n".join(sections))
    write_results("online-gpu.md" if gpu else "online.md", sections)


if __name__ == "__main__":
    main()
