"""Which mixtures to run: the regret of the mixture chosen, against how many runs it was chosen from.

    python benchmarks/designs.py [--quick] [PART ...]        (or: make bench-designs)

The truth is a law fitted to published runs; a design's mixtures are "run" by adding noise to its losses, a law is
fitted to them, and the mixture it chooses is judged by the truth. Regret is how much more that mixture loses than the
best one. Prints the tables and writes them to benchmarks/results/designs.md; with parts named, only those, and the
others stay as they are. RegMix's design is Dirichlet around the natural mixture: its sampler, and the mixtures that it
really ran, which are more even than the Pile is. Runs: RegMix (Liu et al. 2024, arXiv 2407.01492), 17 domains and 13
targets, and SlimPajama runs of 310M (behind arXiv 2507.09404), 7 domains and 8 targets.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from reference import RESULTS, markdown, reference_folder, write_results
from regmix import regmix

from mixlaw.batch import next_batch
from mixlaw.design import sample
from mixlaw.fitting.fit import fit
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.program import Program
from mixlaw.optimize.regret import INFLATION
from mixlaw.runs import LOSS, MIX, RunTable, check_runs, read_runs

QUICK = "--quick" in sys.argv[1:]
LAW = "reciprocal"
NOISE = 0.03
"""Nats: what two runs of one mixture differ by in small proxies."""
REPEATS = 2 if QUICK else 10
COUNTS = (24, 48, 96) if QUICK else (24, 32, 48, 64, 96, 128, 192)
LEVELS = (0.02, 0.01, 0.005, 0.0025)
"""Nats of regret for which the runs needed are read off."""

SLIMPAJAMA = {
    "commoncrawl": 52.2, "c4": 26.7, "github": 5.2, "book": 4.2, "arxiv": 4.6, "wikipedia": 3.8, "stackexchange": 3.3,
}  # fmt: skip
"""Percent of tokens, as the data set's card gives them: the natural mixture that RegMix's sampler needs."""

PILE = {
    "pile_cc": 227.1, "github": 95.2, "pubmed_central": 90.3, "arxiv": 56.2, "freelaw": 51.2, "stackexchange": 32.2,
    "uspto_backgrounds": 22.9, "pubmed_abstracts": 19.3, "gutenberg_pg_19": 10.9, "dm_mathematics": 7.8,
    "wikipedia_en": 6.4, "ubuntu_irc": 5.5, "europarl": 4.6, "hackernews": 3.9, "philpapers": 2.4, "nih_exporter": 1.9,
    "enron_emails": 0.9,
}  # fmt: skip
"""GiB (Gao et al. 2020, 2101.00027, table 1), as the natural mixture."""

Design = Callable[[int, int], Array]
"""Mixtures (n, M) for a count and a seed."""


@dataclass(frozen=True)
class Truth:
    """A law that stands for the world, its best mixtures, and what is asked of them."""

    law: MixingLaw
    limits: Limits
    weights: Mapping[str, Array]
    best: Mapping[str, float]

    @classmethod
    def of(cls, law: MixingLaw, limits: Limits | None = None) -> "Truth":
        """Every target alone, and all of them equally."""
        limits = Limits.simplex(law.domains) if limits is None else limits
        rows = np.eye(len(law.targets))
        weights = {**dict(zip(law.targets, rows, strict=True)), "mean": rows.mean(axis=0)}
        best = {name: float(weight @ _losses(law, _best(law, limits, weight))) for name, weight in weights.items()}
        return cls(law, limits, weights, best)

    def runs(self, mixtures: Array, seed: int) -> Array:
        """(n, V) losses of one run on each mixture."""
        noise = np.random.default_rng((seed, 1)).standard_normal((len(mixtures), len(self.law.targets)))
        return self.law.predict(mixtures) + NOISE * noise

    def regret(self, mixture: Array, name: str) -> float:
        """What a mixture (M,) loses to the best one."""
        return max(float(self.weights[name] @ _losses(self.law, mixture)) - self.best[name], 0.0)

    def regrets(self, mixtures: Array, seed: int, kind: str = LAW) -> dict[str, float]:
        """By target, the regret of what a law fitted to runs on these mixtures chooses."""
        fitted = LAWS[kind].fit(self.law.domains, self.law.targets, mixtures, self.runs(mixtures, seed)).law
        return {name: self.regret(_best(fitted, self.limits, weight), name) for name, weight in self.weights.items()}


def designs(
    domains: Sequence[str], natural: Mixture, own: Array | None, limits: Limits | None = None
) -> dict[str, Design]:
    """Our designs, within limits if any, and RegMix's: its sampler around the natural mixture, and its own runs if any.

    All of them begin a longer design with the shorter one, so each is drawn once, at its longest.
    """

    def ours(method: str, limits: Limits | None = limits) -> Design:
        @cache
        def longest(seed: int) -> Array:
            drawn = sample(domains, COUNTS[-1], method=method, natural=natural, limits=limits, seed=seed)
            return np.array([mixture.proportions for mixture in drawn.values()])

        return lambda count, seed: longest(seed)[:count]

    def theirs(count: int, seed: int) -> Array:
        assert own is not None
        return own[np.random.default_rng(seed).permutation(len(own))[:count]]

    found = {name: ours(name) for name in ("default", "maximin", "dirichlet-0.3", "dirichlet-1", "double-diminishing")}
    found["RegMix's sampler"] = ours("natural", None)
    return found if own is None else {**found, "RegMix's runs": theirs}


def regret_by_count(title: str, truth: Truth, choices: Mapping[str, Design], kind: str = LAW) -> list[str]:
    """Mean regret over repeats by design and count: of single targets together and one by one, and of all equally."""
    single = [name for name in truth.weights if name != "mean"]
    means: dict[str, dict[str, list[float]]] = {name: {} for name in truth.weights}
    for name, design in choices.items():
        found = []
        for count in COUNTS:
            found.append([truth.regrets(design(count, seed), seed, kind) for seed in range(REPEATS)])
            print(f"  {title}: {name}, {count} runs", file=sys.stderr, flush=True)
        for target, table in means.items():
            table[name] = [float(np.mean([one[target] for one in repeats])) for repeats in found]
    together = {name: list(np.mean([means[target][name] for target in single], axis=0)) for name in choices}
    sections = [f"## {title}"]
    for asked, table in (("single targets", together), ("all targets equally", means["mean"])):
        shown = markdown([f"{asked}: runs", *map(str, COUNTS)], [[name, *row] for name, row in table.items()])
        sections += [shown, _needed(table)]
    rivals = [name for name in choices if name.startswith("RegMix")]
    return [*sections, *(_by_target(truth, {target: means[target] for target in single}, rival) for rival in rivals)]


def _by_target(truth: Truth, means: Mapping[str, Mapping[str, Sequence[float]]], rival: str) -> str:
    """Runs that the default and a rival need for each target alone, those that both find with the fewest left out."""
    rows: list[list[str]] = []
    for target, table in means.items():
        needed = [[runs_needed(COUNTS, table[name], level) for name in ("default", rival)] for level in LEVELS]
        if any(runs != COUNTS[0] for pair in needed for runs in pair):
            largest = float(_best(truth.law, truth.limits, truth.weights[target]).max())
            cells = [f"{_count(ours)} / {_count(theirs)} {_ratio(ours, theirs)}" for ours, theirs in needed]
            rows.append([target, f"{largest:.2f}", *cells])
    header = [f"default / {rival}: target", "largest share of its best mixture", *(f"{level:g}" for level in LEVELS)]
    return markdown(header, rows)


def _count(runs: float | None) -> str:
    return "more" if runs is None else f"{runs:.0f}"


def _needed(table: Mapping[str, list[float]]) -> str:
    """Runs needed for a level of regret, and how many times as many RegMix's design needs as the default."""
    rows: list[list[str]] = []
    for name, regrets in table.items():
        needed = [runs_needed(COUNTS, regrets, level) for level in LEVELS]
        rows.append([name, *map(_count, needed)])
    ours = [runs_needed(COUNTS, table["default"], level) for level in LEVELS]
    for theirs in (name for name in table if name.startswith("RegMix")):
        other = [runs_needed(COUNTS, table[theirs], level) for level in LEVELS]
        ratios = [_ratio(first, second) for first, second in zip(ours, other, strict=True)]
        rows.append([f"{theirs} / default", *ratios])
    return markdown(["runs needed for a regret of", *(f"{level:g}" for level in LEVELS)], rows)


def _ratio(ours: float | None, theirs: float | None) -> str:
    if ours is None:
        return ""
    return f"over {COUNTS[-1] / ours:.1f}x" if theirs is None else f"{theirs / ours:.1f}x"


def runs_needed(counts: Sequence[int], regrets: Sequence[float], level: float) -> float | None:
    """The count from which on regret stays at or below a level, between counts by the line through their logarithms."""
    above = [place for place, regret in enumerate(regrets) if regret > level]
    if not above:
        return float(counts[0])
    last = above[-1]
    if last + 1 == len(counts):
        return None
    high, low = np.log(regrets[last]), np.log(max(regrets[last + 1], 1e-12))
    share = (high - np.log(level)) / (high - low)
    return float(np.exp(np.log(counts[last]) + share * (np.log(counts[last + 1]) - np.log(counts[last]))))


def batches_or_at_once(truth: Truth, asked: Sequence[str]) -> list[str]:
    """The same number of runs at once, or the last third in two batches chosen after the first."""
    rows: list[list[str | float]] = []
    for name in asked:
        at_once, batched = [], []
        for seed in range(REPEATS):
            static = _chosen(truth, _design(truth, 48, seed), name, seed)
            mixtures = _design(truth, 32, seed)
            for step in range(2):
                law = fit(_table(truth, mixtures, seed), LAW, "none")
                batch = next_batch(law, 8, weights=_weights(truth, name), seed=seed + 100 * step)
                mixtures = np.vstack([mixtures, [m.aligned(truth.law.domains) for m in batch.mixtures.values()]])
            at_once.append(static)
            batched.append(_chosen(truth, mixtures, name, seed))
            print(f"  batches: {name}, repeat {seed}", file=sys.stderr, flush=True)
        rows.append([name, float(np.mean(at_once)), float(np.mean(batched))])
    said = (
        "The default design: 48 runs at once, or 32 and then two batches of 8 as `mixlaw sample --after` chooses them."
    )
    return ["## Batches", said, markdown(["target", "48 at once", "32 + 8 + 8"], rows)]


def stopping(truth: Truth, asked: Sequence[str]) -> list[str]:
    """What the law expects to lose, against what it loses."""
    rows: list[list[str | float]] = []
    for name in asked:
        for count in (32, 64) if QUICK else (32, 48, 96):
            expected, actual = [], []
            for seed in range(REPEATS):
                law = fit(_table(truth, _design(truth, count, seed), seed), LAW, "none")
                batch = next_batch(law, 2, weights=_weights(truth, name), seed=seed)
                expected.append(batch.regret.expected)
                actual.append(truth.regret(batch.optimum.aligned(truth.law.domains), name))
            print(f"  stopping: {name}, {count} runs", file=sys.stderr, flush=True)
            within = np.mean([real <= INFLATION * thought for thought, real in zip(expected, actual, strict=True)])
            rows.append([name, str(count), float(np.mean(expected)), float(np.mean(actual)), f"{within:.0%}"])
    said = "Regret that the law expects of its choice from its own uncertainty, and the true one."
    header = ["target", "runs", "expected", "actual", f"actual within {INFLATION:g} x expected"]
    return ["## When to stop", said, markdown(header, rows)]


def _losses(law: MixingLaw, mixture: Array) -> Array:
    losses: Array = law.predict(mixture[None])[0]
    return losses


def _best(law: MixingLaw, limits: Limits, weights: Array) -> Array:
    return solve(Program.mean(law, limits, weights)).proportions


def _design(truth: Truth, count: int, seed: int) -> Array:
    drawn = sample(truth.law.domains, count, natural=Mixture.natural(PILE), seed=seed)
    return np.array([mixture.proportions for mixture in drawn.values()])


def _chosen(truth: Truth, mixtures: Array, name: str, seed: int) -> float:
    return truth.regrets(mixtures, seed)[name]


def _weights(truth: Truth, name: str) -> dict[str, float] | None:
    return None if name == "mean" else {name: 1.0}


def _table(truth: Truth, mixtures: Array, seed: int) -> RunTable:
    frame = pd.DataFrame({"run": [f"r{place}" for place in range(len(mixtures))], "params": 1e6, "tokens": 1e9})
    shares = pd.DataFrame(mixtures, columns=[MIX + domain for domain in truth.law.domains])
    losses = pd.DataFrame(truth.runs(mixtures, seed), columns=[LOSS + target for target in truth.law.targets])
    return check_runs(pd.concat([frame, shares, losses], axis=1))


def parts() -> dict[str, Callable[[], list[str]]]:
    """The parts by name, each from its heading on."""
    train, _ = regmix(reference_folder())
    names, natural, own = (train.domains, train.targets), Mixture.natural(PILE), train.proportions
    pile = LAWS[LAW].fit(*names, own, train.losses).law
    chosen = ("default", "maximin", "dirichlet-0.3", "RegMix's sampler", "RegMix's runs")
    everywhere = designs(train.domains, natural, own)
    capped = Limits.of(train.domains, caps=dict.fromkeys(train.domains, 0.15))
    # An exponential law says 136 nats of a mixture that is all Enron mails, of which no run held more than 0.026.
    reach = Limits.of(train.domains, caps=dict(zip(train.domains, own.max(axis=0), strict=True)))
    within = designs(train.domains, natural, own, reach)
    within = {name: within[name] for name in ("default", "maximin", "dirichlet-0.3", "RegMix's runs")}

    def exponential() -> list[str]:
        other = LAWS["exponential"].fit(*names, own, train.losses).law
        title = "The same limits, and a law of the wrong form: the truth is exponential"
        return regret_by_count(title, Truth.of(other, reach), within)

    def slimpajama() -> list[str]:
        table = read_runs(reference_folder() / "slimpajama_small.csv")
        last = table.where(table.params == sorted(set(table.params))[1]).last()
        slim = LAWS[LAW].fit(table.domains, table.targets, last.proportions, last.losses).law
        rivals = designs(table.domains, Mixture.natural(SLIMPAJAMA), None)
        return regret_by_count("7 SlimPajama domains", Truth.of(slim), rivals)

    return {
        "pile": lambda: regret_by_count(
            f"17 Pile domains; the truth is a {LAW} law of RegMix's 512 runs", Truth.of(pile), everywhere
        ),
        "capped": lambda: regret_by_count(
            "The same, no domain above 0.15 of the full run",
            Truth.of(pile, capped),
            {name: everywhere[name] for name in chosen},
        ),
        "reach": lambda: regret_by_count(
            "Proxies and full run with no more of a domain than one of RegMix's runs", Truth.of(pile, reach), within
        ),
        "exponential": exponential,
        "slimpajama": slimpajama,
        "batches": lambda: batches_or_at_once(Truth.of(pile), ("pile_cc", "mean")),
        "stopping": lambda: stopping(Truth.of(pile), ("pile_cc", "mean")),
    }


def main() -> None:
    """Measure the parts asked for, all by default."""
    every = parts()
    asked = [word for word in sys.argv[1:] if not word.startswith("--")] or list(every)
    if unknown := [name for name in asked if name not in every]:
        sys.exit(f"no part is called {', '.join(unknown)}; they are {', '.join(every)}")
    heading = (
        f"# Designs\n\nMean regret, nats per token, over {REPEATS} repeats; a run's noise is {NOISE}; the law fitted "
        f"is {LAW}. The best mixtures of single targets are at or near corners, that of all targets is inside."
    )
    kept = dict(zip(every, _sections_written(), strict=False))
    for name in asked:
        started = time.time()
        kept[name] = "\n\n".join([*every[name](), f"{time.time() - started:.0f} s."])
        print(kept[name], end="\n\n", flush=True)
        if len(kept) == len(every):
            write_results("designs.md", [heading, *(kept[part] for part in every)])


def _sections_written() -> list[str]:
    """What the results hold from each heading on, in the order of the parts; nothing before the first whole run."""
    written = RESULTS / "designs.md"
    if not written.exists():
        return []
    return [f"## {section}" for section in written.read_text(encoding="utf-8").strip().split("\n\n## ")[1:]]


if __name__ == "__main__":
    main()
