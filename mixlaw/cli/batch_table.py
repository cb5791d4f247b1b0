"""The next batch of runs, for people."""

from rich.console import Console
from rich.table import Table

from mixlaw.batch import Batch
from mixlaw.optimize.regret import INFLATION


def show_batch(console: Console, batch: Batch) -> None:
    """Print what each mixture of a batch is for, and whether any is worth its cost."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("mixture", "predicted loss", "known to", "chosen", "most of"):
        numeric = heading in ("predicted loss", "known to")
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for (name, mixture), loss, deviation in zip(batch.mixtures.items(), batch.loss, batch.deviation, strict=True):
        most = sorted(mixture.as_dict().items(), key=lambda item: -item[1])[:2]
        why = "may be the best" if name in batch.towards else "law least sure"
        listed = ", ".join(f"{domain} {share:.2f}" for domain, share in most)
        table.add_row(name, f"{loss:.4f}", f"±{deviation:.4f}", why, listed)
    console.print(table)
    verdict = "enough" if batch.done else "not enough yet: run this batch"
    console.print(
        f"expected regret of stopping now: {batch.regret.expected:.4f} nats, times {INFLATION:g} for what a law does "
        f"not know of itself: {batch.regret.inflated:.4f}, against {batch.enough:g}; {verdict}"
    )
