"""What is to be trained: one member per mixture, size and seed; a full run is a member with other numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mixlaw.corpus.shards import MANIFEST, Corpus, open_corpus
from mixlaw.errors import Refused, one_of
from mixlaw.files import sha256
from mixlaw.mixture import Mixture
from mixlaw.online import Online, Settings
from mixlaw.online.samples import Samples
from mixlaw.plan import Plan, Training
from mixlaw.train.ladder import Shape, shape_of
from mixlaw.train.schedule import warmup_steps

WEIGHTS = "model.safetensors"
"""The file of a model's weights, in its folder."""


@dataclass(frozen=True)
class Setting:
    """What every run of a study shares.

    Attributes:
        corpus: folder of the tokenised domains.
        corpus_sha256: of its manifest, which holds the hash of every shard.
        domains: trained on, in the order of the run table's columns.
        targets: measured.
        available_tokens: unique training tokens by domain, where fewer than the corpus holds may be used.
        training: of the plan.
        initial, initial_sha256: folder of the model that every run goes on from, and hash of its weights; None for
            fresh weights.
    """

    corpus: Path
    corpus_sha256: str
    domains: tuple[str, ...]
    targets: tuple[str, ...]
    available_tokens: Mapping[str, int]
    training: Training
    initial: Path | None = None
    initial_sha256: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The setting as JSON, for another process or to compare with an earlier one."""
        return {
            "corpus": str(self.corpus),
            "corpus_sha256": self.corpus_sha256,
            "domains": list(self.domains),
            "targets": list(self.targets),
            "available_tokens": dict(self.available_tokens),
            "training": self.training.model_dump(mode="json"),
            "initial": None if self.initial is None else str(self.initial),
            "initial_sha256": self.initial_sha256,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Setting":
        """Read `as_json`."""
        return cls(
            corpus=Path(content["corpus"]),
            corpus_sha256=content["corpus_sha256"],
            domains=tuple(content["domains"]),
            targets=tuple(content["targets"]),
            available_tokens=content["available_tokens"],
            training=Training.model_validate(content["training"]),
            initial=None if content["initial"] is None else Path(content["initial"]),
            initial_sha256=content["initial_sha256"],
        )


@dataclass(frozen=True)
class Stage:
    """A later part of a run.

    Attributes:
        last: share of the run's tokens that are left when it begins.
        mixture: that is read from then on, over the setting's domains.
    """

    last: float
    mixture: Mixture


@dataclass(frozen=True)
class Member:
    """One run to train.

    Attributes:
        run: its name in the run table.
        group: the name of its mixture, which repeats share.
        mixture: over the setting's domains.
        size: on the ladder.
        tokens: counts at which losses are read, rising; the last ends the run. Each is rounded to whole steps.
        seed: of the initial weights and the order of data.
        full: whether it is a run at the target scale, whose model is kept.
        unique: share of each domain's available tokens that it may read; the rest of its tokens are repeats.
        online: the method that moves its mixture or its weights, if any, from `mixture` on.
        samples: how its sequences are weighed, if not evenly.
        stages: later parts on other mixtures, the longest first.
        reference: the run, with its model in the same study, that DoReMi's losses are held against.
    """

    run: str
    group: str
    mixture: Mixture
    size: str
    tokens: tuple[int, ...]
    seed: int
    full: bool = False
    unique: float = 1.0
    online: Settings | None = None
    samples: Samples | None = None
    stages: tuple[Stage, ...] = ()
    reference: str | None = None

    @property
    def moves(self) -> bool:
        """Whether anything but the model changes while it trains; such a run is trained alone."""
        return self.online is not None or self.samples is not None or bool(self.stages)

    def switches(self, training: Training) -> dict[int, Mixture]:
        """The step after which each stage begins, and its mixture; a stage without a step is none."""
        steps = self.steps(training)[-1]
        starts = {steps - round(stage.last * steps): stage.mixture for stage in self.stages}
        return {step: mixture for step, mixture in starts.items() if step < steps}

    @property
    def shape(self) -> Shape:
        """The shape of its size."""
        return shape_of(self.size)

    def steps(self, training: Training) -> tuple[int, ...]:
        """The steps after which losses are read."""
        return tuple(max(1, round(tokens / training.batch_tokens)) for tokens in self.tokens)

    def rising(self, training: Training) -> int:
        """Steps of the warm-up: a share of the whole run, or of a constant-rate proxy's until it is first read.

        Every read-out of such a proxy stands for a run that ends there; a warm-up as long as the whole run asks for
        would take a larger part of the early ones (`make bench-read-outs`).
        """
        steps = self.steps(training)
        early = training.schedule == "constant" and not self.full
        return warmup_steps(training, steps[0] if early else steps[-1])

    def total_tokens(self, training: Training) -> int:
        """Tokens trained on by the end."""
        return self.steps(training)[-1] * training.batch_tokens

    def as_json(self) -> dict[str, Any]:
        """The member as JSON, for another process or to compare with an earlier one."""
        content: dict[str, Any] = {
            "run": self.run,
            "group": self.group,
            "mixture": self.mixture.as_dict(),
            "size": self.size,
            "tokens": list(self.tokens),
            "seed": self.seed,
            "full": self.full,
            "unique": self.unique,
        }
        if self.online is not None:
            content["online"] = self.online.model_dump(mode="json")
        if self.samples is not None:
            content["samples"] = self.samples.model_dump(mode="json")
        if self.stages:
            content["stages"] = [{"last": stage.last, "mixture": stage.mixture.as_dict()} for stage in self.stages]
        if self.reference is not None:
            content["reference"] = self.reference
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Member":
        """Read `as_json`; every proportion to the bit.

        Raises:
            KeyError, TypeError: for content of another form.
        """
        unknown = content.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise TypeError(f"a member has no {', '.join(sorted(unknown))}")
        online, samples = content.get("online"), content.get("samples")
        return cls(
            run=content["run"],
            group=content["group"],
            mixture=_mixture(content["mixture"]),
            size=content["size"],
            tokens=tuple(content["tokens"]),
            seed=content["seed"],
            full=content["full"],
            unique=content.get("unique", 1.0),
            online=None if online is None else TypeAdapter[Settings](Online).validate_python(online),
            samples=None if samples is None else Samples.model_validate(samples),
            stages=tuple(Stage(stage["last"], _mixture(stage["mixture"])) for stage in content.get("stages", ())),
            reference=content.get("reference"),
        )


def _mixture(proportions: Mapping[str, float]) -> Mixture:
    return Mixture(tuple(proportions), tuple(proportions.values()))


def setting_of(plan: Plan, corpus: Corpus | None = None) -> Setting:
    """Resolve a plan against its corpus.

    Raises:
        Refused: for a corpus that is not there, or a domain or target of the plan that it does not hold.
    """
    corpus = corpus or open_corpus(plan.path(plan.corpus.path))
    for section, names in (
        ("corpus.domains", plan.corpus.domains),
        ("corpus.targets", plan.corpus.targets),
        ("corpus.available_tokens", plan.corpus.available_tokens),
        ("weights", plan.weights),
    ):
        allowed = (plan.corpus.targets or corpus.domains) if section == "weights" else corpus.domains
        for name in names:
            try:
                one_of(name, allowed, "target" if section in ("corpus.targets", "weights") else "domain")
            except Refused as error:
                raise Refused(f"the plan's {section}: {error}") from None
    return Setting(
        corpus=corpus.path.resolve(),
        corpus_sha256=sha256(corpus.path / MANIFEST),
        domains=plan.corpus.domains or corpus.domains,
        targets=plan.corpus.targets or corpus.domains,
        available_tokens=dict(plan.corpus.available_tokens),
        training=plan.training,
        **_initial(plan),
    )


def _initial(plan: Plan) -> dict[str, Any]:
    """The model that a plan's runs go on from."""
    if plan.training.initial is None:
        return {}
    folder = plan.path(plan.training.initial)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise Refused(
            f"the plan's training.initial: {weights} does not exist; name the folder of a model, such as one under "
            "models/ of a study whose full runs are trained"
        )
    return {"initial": folder.resolve(), "initial_sha256": sha256(weights)}
