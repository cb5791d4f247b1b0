"""What the full runs of a study measured, held against what was predicted."""

from collections.abc import Sequence

from mixlaw.outcome import CONFIDENCE, Outcome, seed_noise, verdicts
from mixlaw.report.figures.choice import Measured, on_any_ground, predicted_and_measured
from mixlaw.report.page import Cell, Column, Drawing, Section, Table
from mixlaw.report.style import drawn, styled
from mixlaw.wording import counted

CHOSEN = "optimum"
"""The mixture that the others are baselines of."""


def result(found: Sequence[Outcome]) -> Section:
    """The full runs: verdicts, the figure, the losses by mixture and by target."""
    noise, freedom = seed_noise(found)
    inside = sum(outcome.inside for outcome in found)
    seeds = max(len(outcome.measured) for outcome in found)
    spread = (
        f" Runs of one mixture differ between seeds by {noise:.4f} nats (standard deviation, "
        f"{counted(freedom, 'degree')} of freedom)."
        if freedom
        else " With one seed each, the noise of a run is not known."
    )
    return Section(
        title="What came out",
        paragraphs=[
            f"Each mixture was trained in full with {counted(seeds, 'seed')}. The measured loss lies in the "
            f"{CONFIDENCE:.0%} interval of the prediction for {inside} of {counted(len(found), 'mixture')}.{spread}"
        ],
        points=verdicts(found),
        figures=[
            Drawing.of(
                predicted_and_measured(_measured(found)),
                "Weighted loss of the full runs, further left is better. Bars: predicted from the proxies alone, with "
                f"the {CONFIDENCE:.0%} interval for one run; the tick is the prediction. Circles: measured.",
            )
        ],
        tables=[_losses(found), _targets(found)],
    )


def readme_figure(found: Sequence[Outcome]) -> str:
    """The figure of predicted and measured losses by itself, as an svg that reads on light and on dark ground."""
    with styled():
        return drawn(on_any_ground(_measured(found)))


def _measured(found: Sequence[Outcome]) -> list[Measured]:
    return [Measured(each.name, each.predicted, each.low, each.high, each.measured) for each in _chosen_first(found)]


def _chosen_first(found: Sequence[Outcome]) -> list[Outcome]:
    return sorted(found, key=lambda outcome: outcome.name != CHOSEN)


def _losses(found: Sequence[Outcome]) -> Table:
    rows: list[list[Cell]] = [
        [
            outcome.name,
            outcome.predicted,
            outcome.low,
            outcome.high,
            outcome.mean,
            ", ".join(f"{loss:.4f}" for loss in outcome.measured),
            outcome.mean - outcome.predicted,
            "yes" if outcome.inside else "no",
        ]
        for outcome in _chosen_first(found)
    ]
    columns = [Column("mixture"), *(Column(name, ".4f") for name in ("predicted", "90% from", "to", "measured"))]
    columns += [Column("by seed"), Column("measured - predicted", "+.4f"), Column("inside")]
    return Table.of(columns, rows, chosen=CHOSEN, caption="weighted loss, nats per token")


def _targets(found: Sequence[Outcome]) -> Table:
    found = _chosen_first(found)
    columns = [Column("target")]
    for outcome in found:
        columns += [Column(f"{outcome.name}, predicted", ".4f"), Column("measured", ".4f")]
    rows: list[list[Cell]] = []
    for target in found[0].by_target:
        pairs = (outcome.by_target[target] for outcome in found)
        rows.append([target, *(value for pair in pairs for value in pair)])
    return Table.of(columns, rows, caption="by target, nats per token")
