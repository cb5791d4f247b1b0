"""What the priors of the reciprocal and the exponential law do: each halved and doubled, by cross-validation.

    python benchmarks/priors.py          (or: make bench-priors)

Only runs that laws are fitted to elsewhere are used: RegMix's training runs, and published swarms at the sizes that are
carried to larger ones. No mixture is on both sides of a fold. Prints held-out squared error as a share of the variance
(1 - R²), relative to the defaults: above 1 the default is better. Writes benchmarks/results/priors.md.
"""

import time
from types import ModuleType

import numpy as np
from reference import markdown, reference_folder, write_results
from regmix import Swarm, regmix

from mixlaw.fitting.choose import folds_of
from mixlaw.laws import LAWS, exponential, reciprocal
from mixlaw.mixture import groups_of
from mixlaw.runs import read_runs

PRIORS: tuple[tuple[ModuleType, str], ...] = (
    (reciprocal, "HUBER"),
    (reciprocal, "STRENGTH_SPREAD"),
    (reciprocal, "EXPONENT"),
    (reciprocal, "EXPONENT_SPREAD"),
    (reciprocal, "SHARED_SPREAD"),
    (reciprocal, "OUTER_SPREAD"),
    (reciprocal, "GAP"),
    (reciprocal, "GAP_SPREAD"),
    (reciprocal, "VERTEX_LEVEL"),
    (reciprocal, "VERTEX_SPREAD"),
    (exponential, "HUBER"),
    (exponential, "VERTEX_SPREAD"),
    (exponential, "VERTEX_FADING"),
)
"""Every prior, by the file that holds it."""

FACTORS = (0.5, 2.0)

FEWEST = 16
"""Mixtures of one size that are worth leaving some of them out."""


def tables() -> dict[str, Swarm]:
    """Swarms of one size at the token count that most of their runs share."""
    folder, found = reference_folder(), {}
    train, _ = regmix(folder)
    for count in (24, 48, 96):
        found[f"RegMix, {count} runs"] = train.draw(count, seed=1000 + count)
    for name, label in (("redpajama", "RedPajama"), ("slimpajama_small", "SlimPajama"), ("three_domains", "3 domains")):
        table = read_runs(folder / f"{name}.csv")
        table = table.where(table.params < 500_000_000)
        for params in sorted(set(table.params)):
            at_size = table.where(table.params == params)
            tokens, runs = np.unique(at_size.tokens, return_counts=True)
            rows = at_size.where(at_size.tokens == tokens[len(tokens) - 1 - int(np.argmax(runs[::-1]))])
            if len(set(rows.mixtures)) >= FEWEST:
                measured = rows.proportions, rows.losses
                found[f"{label}, {params / 1e6:.0f}M"] = Swarm(rows.domains, rows.targets, *measured)
    return found


def left_over(kind: str, runs: Swarm) -> float:
    """Mean over targets of the held-out squared error over the variance of the losses."""
    fold = folds_of(groups_of(runs.proportions))
    error = np.empty_like(runs.losses)
    for held in range(int(fold.max()) + 1):
        fitted, left = fold != held, fold == held
        law = LAWS[kind].fit(runs.domains, runs.targets, runs.proportions[fitted], runs.losses[fitted]).law
        error[left] = law.predict(runs.proportions[left]) - runs.losses[left]
    return float(np.mean(np.nanmean(error**2, axis=0) / np.nanvar(runs.losses, axis=0)))


def main() -> None:
    """Measure, print and write."""
    start, swarms = time.process_time(), tables()
    default = {
        kind: {name: left_over(kind, runs) for name, runs in swarms.items()} for kind in ("reciprocal", "exponential")
    }
    rows: list[list[str | float]] = [
        [kind, "as it is", "1 - R²", "", *(default[kind][name] for name in swarms)] for kind in default
    ]
    for module, prior in PRIORS:
        kind, value = module.__name__.rpartition(".")[2], getattr(module, prior)
        for factor in FACTORS:
            setattr(module, prior, factor * value)
            try:
                ratios = [left_over(kind, runs) / default[kind][name] for name, runs in swarms.items()]
            finally:
                setattr(module, prior, value)
            mean = float(np.exp(np.mean(np.log(ratios))))
            rows.append([kind, prior, f"{value:g} -> {factor * value:g}", mean, *ratios])
            print(*rows[-1], flush=True)
    header = ["law", "prior", "change", "geometric mean", *swarms]
    text = [
        "# Priors of the laws, halved and doubled",
        "Held-out squared error over the variance in grouped cross-validation; below the defaults' own rows, relative "
        "to them: above 1 the default predicts better. Made by `make bench-priors`.",
        markdown(header, rows),
    ]
    print(*text, f"{time.process_time() - start:.0f} CPU seconds", sep="\n\n")
    write_results("priors.md", text)


if __name__ == "__main__":
    main()
