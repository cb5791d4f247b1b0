"""Which sequence is trained on next: our order beside grain's and beside random draws.

    python benchmarks/order.py

For each, sequences a second and the worst distance of any prefix of the run from its mixture, in sequences: the
largest |drawn of a domain - proportion x position|. Prints a table and writes it to benchmarks/results/order.md.
grain is measured where it is installed (`pip install grain`), and said to be absent otherwise.
"""

import importlib.metadata
import importlib.util
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from reference import markdown, write_results

from mixlaw.corpus.order import Order

DOMAINS = (3, 8, 22, 100)
SEQUENCES = 1_000
DRAWN, DRAWN_BY_GRAIN, BATCH = 200_000, 20_000, 32
ROUNDS = 3

Draw = Callable[[NDArray[np.float64], int], NDArray[np.int64]]


def ours(proportions: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Domains of the first `count` sequences, taken in batches as a trainer takes them."""
    order = Order(proportions, np.full(len(proportions), SEQUENCES), seed=1)
    return np.concatenate([order.take(BATCH)[0] for _ in range(count // BATCH)])


def at_random(proportions: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Each sequence's domain drawn on its own, and a place in the domain's permutation looked up."""
    random = np.random.default_rng(1)
    orders = [random.permutation(SEQUENCES) for _ in proportions]
    drawn = np.zeros(len(proportions), dtype=np.int64)
    batches = []
    for _ in range(count // BATCH):
        batches.append(random.choice(len(proportions), size=BATCH, p=proportions))
        for domain in batches[-1]:
            orders[domain][drawn[domain] % SEQUENCES]
            drawn[domain] += 1
    return np.concatenate(batches)


def by_grain(proportions: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """grain's mix of shuffled and repeated domains, read in this process without threads (its fastest here)."""
    import grain

    parts = [
        grain.MapDataset.range(domain * SEQUENCES, (domain + 1) * SEQUENCES).shuffle(seed=domain).repeat(count)
        for domain in range(len(proportions))
    ]
    mixed = grain.MapDataset.mix(parts, weights=proportions.tolist())
    reading = iter(mixed.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)))
    return np.array([next(reading) // SEQUENCES for _ in range(count)])


def worst_prefix(proportions: NDArray[np.float64], domains: NDArray[np.int64]) -> float:
    """The largest distance of any prefix from the mixture, in sequences of one domain."""
    positions = np.arange(1, len(domains) + 1)
    return max(
        float(np.abs(np.cumsum(domains == domain) - positions * proportion).max())
        for domain, proportion in enumerate(proportions)
    )


def main() -> None:
    """Measure all in turn, the fastest of a few rounds each, and print them side by side."""
    ways: dict[str, tuple[Draw, int]] = {"mixlaw": (ours, DRAWN), "at random": (at_random, DRAWN)}
    if importlib.util.find_spec("grain"):
        ways["grain"] = (by_grain, DRAWN_BY_GRAIN)
    else:
        print("grain is not installed, so it is left out; pip install grain to measure it\n")
    rows = []
    for count in DOMAINS:
        proportions = np.random.default_rng(count).dirichlet(np.ones(count))
        row: list[str | float] = [str(count)]
        for draw, drawn in ways.values():
            seconds = []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                domains = draw(proportions, drawn)
                seconds.append(time.perf_counter() - started)
            row += [f"{len(domains) / min(seconds):,.0f}", f"{worst_prefix(proportions, domains):.2f}"]
        rows.append(row)
    header = ["domains", *(f"{name}: {what}" for name in ways for what in ("a second", "worst prefix"))]
    drawn_by = f"{DRAWN:,} sequences" + (
        f" ({DRAWN_BY_GRAIN:,} by grain {importlib.metadata.version('grain')})" if "grain" in ways else ""
    )
    title = f"Sequences a second, and the worst distance of a prefix from its mixture over {drawn_by}"
    sections = [title, markdown(header, rows)]
    print("\n\n".join(sections))
    write_results("order.md", sections)


if __name__ == "__main__":
    main()
