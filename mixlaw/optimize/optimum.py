"""What is known of the best mixture: its proof, its interval, what holds it back, and what it is compared with."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mixlaw.errors import Refused
from mixlaw.files import read_json, write_json
from mixlaw.mixture import Mixture
from mixlaw.optimize.prices import Active
from mixlaw.wanted import mistake


@dataclass(frozen=True)
class Baseline:
    """A mixture the optimum is compared with.

    Attributes:
        mixture: its proportions.
        loss: its predicted objective without any divergence, nats per token.
        probability_better: that a run on the optimum measures a lower weighted loss than one on this; None for the
            worst-case objective, for which it is not known.
        allowed: whether it keeps every limit.
    """

    mixture: Mixture
    loss: float
    probability_better: float | None
    allowed: bool


@dataclass(frozen=True)
class Optimum:
    """The best mixture under limits.

    Attributes:
        mixture: proportions, rounded so that they sum to 1 exactly.
        loss: predicted: the weighted mean of the targets, or the largest of them for the worst-case objective.
        low, high: ends of its interval for a run measured next.
        interval: how often such an interval is to hold the measured loss.
        objective_value: what was minimised, nats per token: the loss; plus kl times the divergence from the prior where
            that was asked for; for the robust objective by the law that says the most.
        lower_bound: no allowed mixture has a lower objective; None if nothing is proved.
        gap: `objective_value` less `lower_bound`, nats per token; None if nothing is proved.
        certified: whether the gap is proved (the law is convex) and below a millionth of a nat.
        losses: predicted loss by target.
        active: limits that hold the optimum back, dearest first.
        baselines: natural, uniform, best measured, and those that were given.
        near_optimal: domain -> smallest and largest proportion among mixtures within `slack` of the best; empty where
            it was not asked for or not to be had.
        slack: nats per token.
        expected_regret: how much better, nats per token, a mixture chosen by one of the laws that the runs leave open
            is to be expected to be; None where it was not worked out.
        warnings: in words.
        objective: "mean", "worst" or "robust".
        divergence: KL(mixture‖prior) in nats, and `kl` its weight in the objective; 0 without a prior.
        epochs: domain -> passes over it; empty where available tokens are not known.
        repeats_discounted: whether repeated data counted for less in the predictions.
        weights: target -> importance, summing to 1.
        params, tokens: the run that the mixture is for; epochs are counted in its tokens.
        predicted_params, predicted_tokens: the scale of the predicted losses; a smaller one for a law of one scale.
        origin: what it rests on: kind of law, run table and hashes.
        convex_optimum: for a law that is not convex, the certified optimum of the best convex law beside it.
        version: of mixlaw.
    """

    mixture: Mixture
    loss: float
    low: float
    high: float
    interval: float
    objective_value: float
    lower_bound: float | None
    gap: float | None
    certified: bool
    losses: Mapping[str, float]
    active: tuple[Active, ...]
    baselines: Mapping[str, Baseline]
    near_optimal: Mapping[str, tuple[float, float]]
    slack: float
    expected_regret: float | None
    warnings: tuple[str, ...]
    objective: str
    kl: float
    divergence: float
    epochs: Mapping[str, float]
    repeats_discounted: bool
    weights: Mapping[str, float]
    params: float
    tokens: float
    predicted_params: float
    predicted_tokens: float
    version: str
    origin: Mapping[str, str] = field(default_factory=dict)
    convex_optimum: "Optimum | None" = None

    def as_json(self) -> dict[str, Any]:
        """The content of an optimum file."""
        baselines = self.baselines.items()
        found = {
            **{key: value for key, value in asdict(self).items() if key not in ("origin", "convex_optimum")},
            **self.origin,
            "mixture": self.mixture.as_dict(),
            "baselines": {name: baseline.loss for name, baseline in baselines},
            "baseline_mixtures": {name: baseline.mixture.as_dict() for name, baseline in baselines},
            "baselines_allowed": {name: baseline.allowed for name, baseline in baselines},
            "probability_better": {
                name: baseline.probability_better
                for name, baseline in baselines
                if baseline.probability_better is not None
            },
        }
        if self.convex_optimum is not None:
            found["convex_optimum"] = self.convex_optimum.as_json()
        return found


ORIGIN = ("law", "law_sha256", "runs", "runs_sha256")
"""Keys of an optimum file that say what it rests on."""


@dataclass(frozen=True)
class _File:
    """An optimum file, as it is checked when read."""

    mixture: dict[str, float]
    loss: float
    low: float
    high: float
    interval: float
    objective_value: float
    lower_bound: float | None
    gap: float | None
    certified: bool
    losses: dict[str, float]
    active: tuple[Active, ...]
    baselines: dict[str, float]
    baseline_mixtures: dict[str, dict[str, float]]
    baselines_allowed: dict[str, bool]
    probability_better: dict[str, float]
    near_optimal: dict[str, tuple[float, float]]
    slack: float
    expected_regret: float | None
    warnings: tuple[str, ...]
    objective: str
    kl: float
    divergence: float
    epochs: dict[str, float]
    repeats_discounted: bool
    weights: dict[str, float]
    params: float
    tokens: float
    predicted_params: float
    predicted_tokens: float
    version: str
    law: str = ""
    law_sha256: str = ""
    runs: str = ""
    runs_sha256: str = ""
    convex_optimum: "_File | None" = None

    def optimum(self) -> Optimum:
        """The same as an optimum."""
        names = self.baselines.keys() & self.baseline_mixtures.keys() & self.baselines_allowed.keys()
        if names != self.baselines.keys():
            raise Refused(f"baseline '{min(self.baselines.keys() - names)}' has no mixture")
        same = {key: getattr(self, key) for key in Optimum.__dataclass_fields__ if key not in REBUILT}
        return Optimum(
            **same,
            mixture=Mixture.of(self.mixture),
            baselines={
                name: Baseline(
                    Mixture.of(self.baseline_mixtures[name]),
                    loss,
                    self.probability_better.get(name),
                    self.baselines_allowed[name],
                )
                for name, loss in self.baselines.items()
            },
            origin={key: value for key in ORIGIN if (value := getattr(self, key))},
            convex_optimum=None if self.convex_optimum is None else self.convex_optimum.optimum(),
        )


REBUILT = ("mixture", "baselines", "origin", "convex_optimum")
"""Fields of an optimum that its file holds in another form."""

SCHEMA = TypeAdapter(_File)


def write_optimum(optimum: Optimum, path: Path | str) -> None:
    """Write an optimum file whole or not at all."""
    write_json(path, optimum.as_json())


def read_optimum(path: Path | str) -> Optimum:
    """Read an optimum file.

    Raises:
        Refused: naming the file and the place that is wrong.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "certified" not in content:
        raise Refused(f"{path} is not an optimum; write one with mixlaw optimize LAW -o optimum.json")
    try:
        return SCHEMA.validate_python(content).optimum()
    except ValidationError as error:
        raise Refused(f"{path}: {mistake(error.errors()[0])}: run mixlaw optimize again") from None
    except Refused as error:
        raise Refused(f"{path}: {error}") from None
