"""Laws at one scale beside their alternatives, fitted in the same run: held-out errors, ranks, intervals, comparisons.

    python benchmarks/laws.py [--quick] [SECTION ...]        (or: make bench-laws)

Prints the tables and, when all were asked for, writes them to benchmarks/results/laws.md. `auto` is what `mixlaw fit`
does by default: the law is chosen by cross-validation within the runs it is fitted to. Runs are RegMix's (Liu et al.
2024, arXiv 2407.01492) and Data Mixing Laws' (Ye et al. 2024, arXiv 2403.16952).
"""

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from exponential_fits import RECIPE_STARTS, STARTS, against_least_squares, against_recipe
from numpy.typing import NDArray
from reference import markdown, reference_folder, write_results
from regmix import SEEDS, Swarm, regmix
from rival_intervals import bootstrap, calibration_error, conformal, coverage, delta, fitted, interval_score
from scipy.stats import spearmanr

from mixlaw.errors import Refused
from mixlaw.fitting.choose import CANDIDATES, choose
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array, groups_of
from mixlaw.runs import read_runs
from mixlaw.surfaces.single import common_scale

QUICK = "--quick" in sys.argv[1:]
LEVEL = 0.9
PAIRS = 2000
OURS = "reciprocal"
AUTO = "auto"
FOLDS = 13
BAD_RUN = (0.125, 0.5, 0.0, 0.0625, 0.1875, 0.0, 0.125)
"""A RedPajama mixture that the authors' code removes by hand."""

SLOW = ("trees", "gaussian-process")
"""Laws left out of --quick."""


def predict(kind: str, runs: Swarm, proportions: Array) -> Array:
    """Predictions by a law fitted to the runs; `auto` chooses it from those runs alone."""
    if kind == AUTO:
        candidates = [name for name in CANDIDATES if name in LAWS]
        names, measured = (runs.domains, runs.targets), (runs.proportions, runs.losses)
        kind, _ = choose(names, measured, groups_of(runs.proportions), candidates)
    return LAWS[kind].fit(runs.domains, runs.targets, runs.proportions, runs.losses).law.predict(proportions)


def kinds() -> list[str]:
    """Every law and the automatic choice."""
    return [AUTO, *(kind for kind in LAWS if not (QUICK and kind in SLOW))]


def held_out_errors() -> str:
    """RMSE and Spearman of every law on RegMix's test runs, by how many runs it was fitted to."""
    train, test = regmix(reference_folder())
    rows: list[list[str | float]] = []
    counts = (32, 64, 128) if QUICK else (32, 64, 128, 256, 512)
    for kind in kinds():
        errors: list[str | float] = []
        ranks: list[str | float] = []
        start = time.process_time()
        for count in counts:
            found = [_errors_and_ranks(kind, train.draw(count, seed), test) for seed in _seeds(count)]
            known = [each for each in found if each is not None]
            errors.append(float(np.mean([rmse for rmse, _ in known])) if known else "refused")
            ranks.append(f"{np.mean([rank for _, rank in known]):.2f}" if known else "refused")
        rows.append([kind, *errors, *ranks, f"{time.process_time() - start:.1f} s"])
    header = ["law", *(f"RMSE {count}" for count in counts), *(f"rank {count}" for count in counts), "CPU time"]
    return _section(
        "RegMix: losses of mixtures that were never trained on",
        f"Mean over {len(test.targets)} targets on {len(test.losses)} test runs, by how many runs were fitted (mean of "
        f"{len(_seeds(64))} draws); RMSE in nats per token, rank is Spearman's correlation in percent.",
        header,
        rows,
    )


def _errors_and_ranks(kind: str, runs: Swarm, test: Swarm) -> tuple[float, float] | None:
    try:
        predicted = predict(kind, runs, test.proportions)
    except Refused:
        return None
    rmse = np.sqrt(((predicted - test.losses) ** 2).mean(axis=0))
    ranks = [_rank(predicted[:, v], test.losses[:, v]) for v in range(len(test.targets))]
    return float(rmse.mean()), 100 * float(np.mean(ranks))


def _rank(predicted: Array, measured: Array) -> float:
    """Spearman's correlation; 0 where a law predicts the same loss for all."""
    return float(spearmanr(predicted, measured).statistic) if np.ptp(predicted) > 0 else 0.0


def one_target() -> str:
    """Spearman on Pile-CC with all 512 runs, the figure that RegMix reports."""
    train, test = regmix(reference_folder())
    place = train.targets.index("pile_cc")
    alone = Swarm(train.domains, ("pile_cc",), train.proportions, train.losses[:, [place]])
    rows: list[list[str | float]] = [
        [kind, f"{100 * _rank(predict(kind, alone, test.proportions)[:, 0], test.losses[:, place]):.2f}"]
        for kind in kinds()
    ]
    return _section(
        "RegMix: rank of the 256 test runs on Pile-CC, all 512 runs fitted",
        "Spearman's correlation in percent; RegMix reports 98.9 for LightGBM and 90.2 for linear regression.",
        ["law", "rank"],
        rows,
    )


def red_pajama() -> str:
    """Grouped 13-fold cross-validation at 70M params and 30k steps."""
    runs, groups = _red_pajama_runs()
    designed = ~np.isin(np.arange(len(groups)), _not_designed())
    rows: list[list[str | float]] = []
    for kind in kinds():
        start = time.process_time()
        cells: list[str | float] = []
        for keep in (np.ones(len(groups), dtype=bool), designed):
            part = Swarm(runs.domains, runs.targets, runs.proportions[keep], runs.losses[keep])
            cells.append(_grouped_error(kind, part, groups[keep]))
        rows.append([kind, *cells, f"{time.process_time() - start:.1f} s"])
    return _section(
        f"RedPajama, 70M at 30k steps, {FOLDS} folds by mixture",
        f"Mean RMSE of {len(runs.targets)} targets, nats per token: all {len(groups)} runs, and the {designed.sum()} "
        "of the authors' design, without their default and optimised mixtures and a run they leave out as bad data.",
        ["law", f"RMSE, {len(groups)} runs", f"RMSE, {designed.sum()} runs", "CPU time"],
        rows,
    )


def _not_designed() -> list[int]:
    table = read_runs(reference_folder() / "redpajama.csv")
    _, _, part = common_scale(table.where(table.params == table.params.min()))
    bad = np.abs(part.proportions - BAD_RUN).max(axis=1) < 1e-3
    return np.flatnonzero(np.isin(part.runs, ["70M-998", "70M-999"]) | bad).tolist()


def _grouped_error(kind: str, runs: Swarm, groups: NDArray[np.int64]) -> float:
    mixtures, member = np.unique(groups, return_inverse=True)
    folds = (np.random.default_rng(0).permutation(len(mixtures)) % FOLDS)[member]
    predicted = np.empty_like(runs.losses)
    for fold in range(FOLDS):
        out = folds == fold
        kept = Swarm(runs.domains, runs.targets, runs.proportions[~out], runs.losses[~out])
        predicted[out] = predict(kind, kept, runs.proportions[out])
    return float(np.sqrt(((predicted - runs.losses) ** 2).mean(axis=0)).mean())


def intervals() -> str:
    """How often 90% intervals hold the 256 test runs, and their interval score."""
    train, test = regmix(reference_folder())
    family = LAWS[OURS if OURS in LAWS else "exponential"]
    ways: dict[str, Callable[[type[MixingLaw], Swarm, Array, float], tuple[Array, Array]]] = {
        "ours: delta method": delta,
        "CV+ conformal": lambda *asked: conformal(*asked, scaled=False),
        "CV+ conformal, leverage-scaled": lambda *asked: conformal(*asked, scaled=True),
        "residual bootstrap": bootstrap,
    }
    rows: list[list[str | float]] = []
    counts = (32, 64, 128)
    for name, way in ways.items():
        held, scores = [], []
        for count in counts:
            found = [way(family, train.draw(count, seed), test.proportions, LEVEL) for seed in _seeds(count)]
            held.append(f"{100 * np.mean([coverage(each, test.losses) for each in found]):.1f}%")
            scores.append(float(np.mean([interval_score(each, test.losses, LEVEL) for each in found])))
        rows.append([name, *held, *scores])
    return _section(
        f"RegMix: 90% intervals of the {family.kind} law",
        "Share of the test runs inside, and interval score in nats per token (lower is better).",
        ["interval", *(f"holds {count}" for count in counts), *(f"score {count}" for count in counts)],
        rows,
    )


def comparisons() -> str:
    """Whether mixture A beats mixture B as often as it is said to."""
    train, test = regmix(reference_folder())
    count = len(test.targets)
    weightings = np.vstack([np.eye(count), np.full((1, count), 1 / count)])
    family = LAWS[OURS if OURS in LAWS else "exponential"]
    rows: list[list[str | float]] = []
    for runs in (32, 64, 128):
        said, happened = [], []
        for seed in _seeds(runs):
            _, uncertainty = fitted(family, train.draw(runs, seed))
            generator = np.random.default_rng(seed)
            pairs = generator.integers(0, len(test.losses), (PAIRS, 2))
            first, second = pairs[pairs[:, 0] != pairs[:, 1]].T
            said.append(uncertainty.probability_better(test.proportions[first], test.proportions[second], weightings))
            happened.append(weightings @ (test.losses[second] - test.losses[first]).T > 0)
        chance, won = np.concatenate(said, axis=1), np.concatenate(happened, axis=1)
        rows.append(
            [
                str(runs),
                calibration_error(chance[:-1].ravel(), won[:-1].ravel()),
                calibration_error(chance[-1], won[-1]),
                float(
                    np.mean(
                        [calibration_error(p[:-1].ravel(), w[:-1].ravel()) for p, w in zip(said, happened, strict=True)]
                    )
                ),
                float(np.mean([calibration_error(p[-1], w[-1]) for p, w in zip(said, happened, strict=True)])),
                float(((chance[:-1] - won[:-1]) ** 2).mean()),
            ]
        )
    return _section(
        f"RegMix: is P(A beats B) of the {family.kind} law what happens?",
        f"Calibration error over ten bins, {PAIRS} random pairs of test runs a draw: all draws together, and the "
        "mean of each draw's own (which counts chance too).",
        ["runs", "each target", "mean of targets", "each, by draw", "mean, by draw", "Brier score"],
        rows,
    )


def exponential_fits() -> str:
    """How low the exponential law's fit gets beside general minimisers, and in how much time."""
    swarm = regmix(reference_folder())[0]
    published, _ = _red_pajama_runs()
    least_squares = [against_least_squares(runs, 8 if QUICK else STARTS) for runs in (published, swarm)]
    few = Swarm(published.domains, published.targets[:2], published.proportions, published.losses[:, :2])
    recipe = [against_recipe(few, starts=2) if QUICK else against_recipe(published)]
    rows: list[list[str | float]] = []
    for name, races in (
        (f"least_squares, {8 if QUICK else STARTS} starts", least_squares),
        (f"the authors' recipe, {2 if QUICK else RECIPE_STARTS} of its 6000 starts", recipe),
    ):
        ratios = np.concatenate([race.ratios for race in races])
        ours, rival = sum(race.our_seconds for race in races), sum(race.rival_seconds for race in races)
        above = f"{(ratios > 1.005).sum()} of {len(ratios)}"
        rows.append([name, float(np.median(ratios)), float(ratios.max()), above, ours, rival, f"1/{rival / ours:.0f}"])
    return _section(
        "The exponential law's fit beside general minimisers",
        "The objective that we reach over the lowest that the rival finds, by target; below 1 ours is lower. The first "
        "rival minimises our objective, and we the second's (`mixlaw.laws.exponential.by_huber`). CPU seconds for all "
        "targets of RedPajama (22) and, but for the recipe, RegMix (13, 512 runs).",
        ["rival", "median", "worst", "above 1.005", "ours, s", "rival, s", "ours / rival"],
        rows,
    )


def times() -> str:
    """CPU seconds of a fit of all targets, the best of three."""
    swarm = regmix(reference_folder())[0]
    published, _ = _red_pajama_runs()
    rows: list[list[str | float]] = []
    for kind in kinds()[1:]:
        cells: list[str | float] = []
        for runs in (published, swarm):
            seconds = []
            for _ in range(3):
                start = time.process_time()
                LAWS[kind].fit(runs.domains, runs.targets, runs.proportions, runs.losses)
                seconds.append(time.process_time() - start)
            cells.append(f"{min(seconds):.3f}")
        rows.append([kind, *cells])
    return _section(
        "Time to fit",
        "CPU seconds, one thread, best of three.",
        ["law", f"RedPajama, 22 targets, {len(published.losses)} runs", "RegMix, 13 targets, 512 runs"],
        rows,
    )


def _red_pajama_runs() -> tuple[Swarm, NDArray[np.int64]]:
    """The runs at 70M params and 30k steps, and their groups by mixture."""
    table = read_runs(reference_folder() / "redpajama.csv")
    _, _, part = common_scale(table.where(table.params == table.params.min()))
    return Swarm(part.domains, part.targets, part.proportions, part.losses), part.mixtures


def _seeds(count: int) -> range:
    """One draw where all runs are taken."""
    return range(1 if count >= 512 else 2 if QUICK else SEEDS)


def _section(title: str, words: str, header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    return "\n".join([f"## {title}", "", words, "", markdown(header, rows)])


SECTIONS = {
    section.__name__: section
    for section in (held_out_errors, one_target, red_pajama, intervals, comparisons, exponential_fits, times)
}


def main() -> None:
    """Print and write the tables."""
    asked = [word for word in sys.argv[1:] if word != "--quick"]
    if unknown := set(asked) - set(SECTIONS):
        sys.exit(f"no section is called {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}")
    found = ["# Laws at one scale"]
    for name in asked or SECTIONS:
        found.append(SECTIONS[name]())
        print(found[-1], end="\n\n", flush=True)
    if not (QUICK or asked):
        write_results("laws.md", found)


if __name__ == "__main__":
    main()
