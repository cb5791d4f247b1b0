"""How good, how fast and how useful optima are: our solver beside others, in one run.

    python benchmarks/optimum.py

Prints five tables and writes them to benchmarks/results/optimum.md. Times are processor times of one thread, the best
of three, so that other work on the machine does not count; the last table needs the published runs (see
benchmarks/reference.py).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import cvxpy as cp
import numpy as np
from oracles import in_cvxpy, tangent_minimum
from random_programs import random_exponential, random_program, random_reciprocal
from reference import markdown, reference_folder, write_results
from regmix import Swarm, regmix
from threadpoolctl import threadpool_limits

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.laws.exponential import Exponential
from mixlaw.limits import Limits
from mixlaw.mixture import Array
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.printed import printed
from mixlaw.optimize.program import Program

PROGRAMS, BESIDE, LARGE = 500, 100, 1000
SUBSETS, RUNS = 20, 64
ROUNDS = 3


Found = TypeVar("Found")


def timed(work: Callable[[], Found]) -> tuple[Found, float]:
    """What a function returns, and the least processor time of a few calls, ms."""
    least = np.inf
    for _ in range(ROUNDS):
        start = time.process_time()
        found = work()
        least = min(least, time.process_time() - start)
    return found, 1e3 * least


def random_programs() -> str:
    """Gap, feasibility and time over random programs, as printed; gaps without a divergence by HiGHS too."""
    solved = []
    for seed in range(PROGRAMS):
        program, _ = random_program(seed)
        best, milliseconds = timed(lambda program=program: solve(program))
        mixture = printed(program, best)
        gap = program.value(mixture) - best.lower_bound
        checked = np.nan if program.kl else program.value(best.proportions) - tangent_minimum(program, best.proportions)
        solved.append(
            (program, gap, max(program.violation(mixture), program.violation(best.proportions)), checked, milliseconds)
        )
    rows = []
    kinds: dict[str, Callable[[Program], bool]] = {
        "all": lambda program: True,
        "mean": lambda program: not program.lifts,
        "worst case": lambda program: program.lifts,
        "with linear rows": lambda program: len(program.limits.bounds) > 0,
        "with a divergence": lambda program: program.kl > 0,
    }
    for kind, belongs in kinds.items():
        chosen = [row[1:] for row in solved if belongs(row[0])]
        gaps, violations, checked, times = np.array(chosen).T
        confirmed = checked[~np.isnan(checked)]
        rows.append(
            [
                *(kind, str(len(chosen)), f"{gaps.max():.1e}", f"{violations.max():.1e}"),
                f"{confirmed.max():.1e}" if len(confirmed) else "",
                *(f"{np.median(times):.1f}", f"{np.quantile(times, 0.95):.1f}", f"{times.max():.1f}"),
            ]
        )
    header = [
        "programs",
        "number",
        "largest gap",
        "largest violation",
        "gap by HiGHS",
        "median ms",
        "95% ms",
        "slowest ms",
    ]
    return f"## Random programs\n\n{markdown(header, rows)}"


def large_programs() -> str:
    """The largest programs anyone will ask for."""
    rows = []
    for make in (random_exponential, random_reciprocal):
        for domains, targets in ((100, 100), (LARGE, 100), (LARGE, LARGE)):
            names = tuple(f"d{j}" for j in range(domains)), tuple(f"t{v}" for v in range(targets))
            law = make(np.random.default_rng(0), *names)
            limits = replace(Limits.simplex(law.domains), cap=np.full(domains, min(1.0, 5 / domains)))
            program = Program.mean(law, limits, np.full(targets, 1 / targets))
            best, milliseconds = timed(lambda program=program: solve(program))
            rows.append(
                [law.kind, str(domains), str(targets), f"{best.gap:.1e}", str(best.iterations), f"{milliseconds:.0f}"]
            )
    return f"## Large programs\n\n{markdown(['law', 'domains', 'targets', 'gap', 'steps', 'ms'], rows)}"


def beside_clarabel() -> str:
    """The same programs by cvxpy and Clarabel; its mixtures are brought into the limits, which they cross by 1e-8."""
    rows: list[tuple[float, float, float, float]] = []
    for seed in range(10_000):
        program, _ = random_program(seed)
        if not isinstance(program.law, Exponential):
            continue
        ours, our_time = timed(lambda program=program: solve(program))
        other, their_time = timed(lambda program=program: in_cvxpy(program))
        rows.append((ours.value - program.value(other.mixture), our_time, their_time, 1e3 * other.solver_seconds))
        if len(rows) == BESIDE:
            break
    worse, ours_ms, theirs_ms, solver_ms = np.array(rows).T
    table = markdown(
        [
            "programs",
            "most ours is higher",
            "most theirs is higher",
            "median ms, ours",
            "cvxpy + Clarabel",
            "Clarabel alone",
        ],
        [
            [
                *(str(BESIDE), f"{max(worse.max(), 0):.1e}", f"{-worse.min():.1e}"),
                *(f"{np.median(times):.1f}" for times in (ours_ms, theirs_ms, solver_ms)),
            ]
        ],
    )
    ratio = f"{np.median(theirs_ms / ours_ms):.1f} times faster than cvxpy + Clarabel in the median"
    alone = f"{np.median(solver_ms / ours_ms):.1f} times Clarabel's own time"
    return f"## Beside cvxpy {cp.__version__} and Clarabel\n\n{table}\n\n{ratio}; {alone}."


def capped(random: np.random.Generator, names: tuple[str, ...]) -> Limits:
    """Caps that sum to 0.999."""
    return Limits.of(names, caps=dict(zip(names, 0.999 * random.dirichlet(np.ones(len(names))), strict=True)))


def floored(random: np.random.Generator, names: tuple[str, ...]) -> Limits:
    """Floors that sum to 1.001."""
    shares = 1.001 * random.dirichlet(np.ones(len(names)))
    return Limits.of(names, floors=dict(zip(names, np.minimum(shares, 1.0), strict=True)))


def rowed(random: np.random.Generator, names: tuple[str, ...]) -> Limits:
    """A row whose bound is 0.001 below its least value on the simplex."""
    row = random.normal(size=(1, len(names)))
    return Limits.simplex(names).with_rows(row, row.min(axis=1) - 0.001, ("row",))


def refusals() -> str:
    """Limits that no mixture meets: how many are refused, by what they contradict."""
    count = PROGRAMS // 5
    rows = []
    for make in (capped, floored, rowed):
        refused = 0
        for seed in range(count):
            random = np.random.default_rng(seed)
            try:
                make(random, tuple(f"d{j}" for j in range(int(random.integers(2, 30)))))
            except Refused:
                refused += 1
        rows.append([(make.__doc__ or "").rstrip("."), f"{refused} of {count}"])
    return f"## Limits that no mixture meets\n\n{markdown(['contradiction', 'refused'], rows)}"


def regret(choice: int, losses: Array) -> float:
    """Nats by which the loss of the chosen mixture exceeds that of the best of them."""
    return float(losses[choice] - losses.min())


def real_choices(train: Swarm, test: Swarm) -> str:
    """Choose among mixtures that were really trained, and look up what the chosen one measured."""
    single: dict[str, list[float]] = {}
    mean: dict[str, list[float]] = {}
    for kind in ("exponential", "reciprocal"):
        for seed in range(SUBSETS):
            runs = train.draw(RUNS, seed)
            law = LAWS[kind].fit(runs.domains, runs.targets, runs.proportions, runs.losses).law
            predicted = law.predict(test.proportions)
            targets = range(len(test.targets))
            single.setdefault(kind, []).append(
                float(np.mean([regret(int(predicted[:, v].argmin()), test.losses[:, v]) for v in targets]))
            )
            mean.setdefault(kind, []).append(regret(int(predicted.mean(axis=1).argmin()), test.losses.mean(axis=1)))
    typical = test.losses - test.losses.min(axis=0)
    rows: list[list[str | float]] = [
        [kind, float(np.mean(single[kind])), float(np.mean(mean[kind])), float(np.max(mean[kind]))] for kind in single
    ]
    averaged = test.losses.mean(axis=1)
    rows.append(["a mixture at random", float(typical.mean()), float((averaged - averaged.min()).mean()), ""])
    header = ["law", "mean regret, 13 single targets", "mean regret, mean of 13", "worst of the subsets"]
    text = f"{SUBSETS} subsets of {RUNS} runs; the choice is among {len(test.losses)} trained mixtures; nats per token."
    return f"## RegMix: choose among mixtures that were really trained\n\n{text}\n\n{markdown(header, rows)}"


def main() -> None:
    """Print and write every table."""
    sections = ["# Optima"]
    work: list[Callable[[], str]] = [random_programs, large_programs, beside_clarabel, refusals]
    work.append(lambda: real_choices(*regmix(reference_folder())))
    with threadpool_limits(1):
        for section in work:
            sections.append(section())
            print(sections[-1], end="\n\n", flush=True)
    write_results("optimum.md", sections)


if __name__ == "__main__":
    main()
