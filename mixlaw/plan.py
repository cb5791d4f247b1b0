"""The plan of a study: the science, in one `plan.toml`."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from mixlaw.errors import Refused, naming
from mixlaw.files import read_text
from mixlaw.launch_plan import Launch
from mixlaw.online import Online
from mixlaw.online.samples import Samples
from mixlaw.plan_mistakes import mistakes
from mixlaw.section import Section

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(gt=0, description="training tokens")]


def _refuse_repeats(key: str, names: tuple[str, ...]) -> None:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{key} names '{repeated[0]}' twice; keep one")


class Corpus(Section):
    """Where the tokenised domains lie, and what of them may be used.

    Attributes:
        path: folder made by `mixlaw corpus`, relative to the plan.
        domains: domains to train on; all of the corpus when empty.
        targets: validation sets to measure; all domains of the corpus when empty.
        available_tokens: unique training tokens by domain, where fewer than the corpus holds may be used.
    """

    path: Path
    domains: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    available_tokens: dict[str, Tokens] = {}

    @model_validator(mode="after")
    def _once(self) -> "Corpus":
        _refuse_repeats("domains", self.domains)
        _refuse_repeats("targets", self.targets)
        return self


class Design(Section):
    """Which mixtures the proxies train on.

    Attributes:
        mixtures: how many, natural and uniform among them.
        repeats: how many further runs, with other seeds, of the natural mixture: they measure the seed noise.
        method: a design that `mixlaw sample --method` knows.
        floors, caps: smallest and largest proportion of a domain in any proxy.
        file: a mixtures file to use instead of sampling, relative to the plan.
    """

    mixtures: Annotated[int, Field(ge=2)] = 24
    repeats: Annotated[int, Field(ge=0)] = 2
    method: str = "default"
    floors: dict[str, Share] = {}
    caps: dict[str, Share] = {}
    file: Path | None = None


class Training(Section):
    """How every run trains; a full run is a proxy with other numbers.

    Attributes:
        sequence_length: tokens of context.
        batch_tokens: tokens of one step; a multiple of `sequence_length`.
        learning_rate: peak, for the width of 64; other widths are scaled by 64 / width.
        warmup: share of the run's steps over which the rate rises from 0; of a proxy of constant rate, share of the
            steps until it is first read, since it is read there as a run that ends there.
        schedule: "constant" reads losses from an averaged model (Hägele et al. 2024, 2405.18392), so one run gives
            every token count; "wsd" and "cosine" decay to the end and give one; so does "inverse-sqrt".
        decay: share of the run over which "wsd" decays to 0.
        cooldown: share of the run over which "inverse-sqrt" falls in a line to 0; none by default.
        weight_decay, clip: AdamW's decay and the largest gradient norm.
        evaluation_tokens: validation tokens per target and read-out.
        device: "auto", "cpu" or "cuda".
        precision: of matrix products: "float32", "bfloat16", or "auto", which is bfloat16 on a GPU.
        compile: whether a step is compiled by torch.compile; "auto" does on a GPU. On a CPU a compiled step is somewhat
            faster (`make bench-swarm` compares), which has to pay for the seconds of compiling each size, and needs a
            C++ compiler.
        micro_batches: pieces that a step's batch is computed in, one after another, where memory is short.
        shard: whether the processes of torchrun share out the weights and moments of a run, for models too large for
            one device; else each holds them all.
        initial: folder of a model of this project that every run goes on from, relative to the plan; fresh weights
            when absent. The schedule begins anew, as in continual pretraining.
    """

    sequence_length: Positive = 128
    batch_tokens: Positive = 4096
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.02
    schedule: Literal["constant", "wsd", "cosine", "inverse-sqrt"] = "constant"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    cooldown: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    clip: Annotated[float, Field(gt=0)] = 1.0
    evaluation_tokens: Positive = 16384
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto"] | bool = "auto"
    micro_batches: Positive = 1
    shard: bool = False
    initial: Path | None = None

    @model_validator(mode="after")
    def _whole_sequences(self) -> "Training":
        if self.batch_tokens % self.sequence_length:
            raise ValueError(
                f"batch_tokens is {self.batch_tokens}, not a multiple of sequence_length {self.sequence_length}"
            )
        if self.batch_tokens // self.sequence_length % self.micro_batches:
            raise ValueError(
                f"{self.batch_tokens // self.sequence_length} sequences a step cannot be cut into "
                f"{self.micro_batches} equal micro_batches; choose a divisor"
            )
        if self.warmup + self.cooldown > 1:
            raise ValueError(f"warmup {self.warmup} and cooldown {self.cooldown} are more than the run; lower one")
        return self


class Proxies(Section):
    """The swarm.

    Attributes:
        sizes: names on the ladder of sizes, such as "0.1M".
        tokens: token counts at which losses are read, rising; the last ends the run.
        match_epochs: whether a proxy reads so little of each domain that by its end it has read it as often as the
            target will: a domain that the target repeats is repeated by the proxies too, and the law sees what that
            costs (2606.07597 shows how proxies that see scarce domains fresh mislead).
    """

    sizes: Annotated[tuple[str, ...], Field(min_length=1)]
    tokens: Annotated[tuple[Tokens, ...], Field(min_length=1)]
    match_epochs: bool = False

    @model_validator(mode="after")
    def _rising(self) -> "Proxies":
        if list(self.tokens) != sorted(set(self.tokens)):
            raise ValueError(f"tokens must rise: {list(self.tokens)}")
        _refuse_repeats("sizes", self.sizes)
        return self


class Target(Section):
    """What the study is for: one training run at full scale.

    Attributes:
        size: a name on the ladder.
        tokens: its budget.
        max_epochs: passes over a domain that are allowed.
        seeds: full runs of each mixture compared.
    """

    size: str
    tokens: Tokens
    max_epochs: Annotated[float, Field(gt=0)] = 4.0
    seeds: Positive = 2


class Stage(Section):
    """The last part of a full run, on a mixture of its own; optimiser, rate and step go on as if nothing happened.

    Attributes:
        last: share of the run's tokens that are left when it begins; with 0 it never does.
        mixture: "natural", "uniform" or a file, relative to the plan.
    """

    last: Share
    mixture: str


class Plan(Section):
    """One study, or with `online`, `samples` or `stages` another way to train its full runs.

    Attributes:
        name: of the study; where weights move, also of the runs.
        seed: of the design, the initial weights and the order of data.
        weights: importance of each target; equal when empty.
        base: another plan in the same folder, which this one repeats but for what it says itself.
        start: the mixture of full runs for which none is given: "natural", "uniform" or a file, relative to the plan.
        online: a method that moves the mixture of a full run while it trains, or finds one beforehand.
        samples: how the sequences of a full run's batches are weighed by their losses.
        stages: later parts of a full run on other mixtures.
        folder: where the plan lies; paths in it are relative to here.
    """

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    corpus: Corpus
    design: Design = Design()
    training: Training = Training()
    proxies: Proxies
    target: Target
    launch: Launch = Launch()
    weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    base: str | None = None
    start: str = "uniform"
    online: Online | None = None
    samples: Samples | None = None
    stages: tuple[Stage, ...] = ()
    folder: Path = Path()

    @property
    def moves(self) -> bool:
        """Whether full runs have weights that move."""
        return self.online is not None or self.samples is not None or bool(self.stages)

    @model_validator(mode="after")
    def _one_mover(self) -> "Plan":
        if self.online is not None and self.stages:
            raise ValueError("[online] and [[stages]] both choose the mixture; keep one")
        shares = [stage.last for stage in self.stages]
        if shares != sorted(set(shares), reverse=True):
            raise ValueError(f"the stages' last must fall: {shares}")
        return self

    @model_validator(mode="after")
    def _whole_steps(self) -> "Plan":
        batch = self.training.batch_tokens
        for section, counts in (("proxies", self.proxies.tokens), ("target", (self.target.tokens,))):
            steps = [round(count / batch) for count in counts]
            if steps[0] < 1:
                raise ValueError(
                    f"{section}.tokens begins with {counts[0]}, less than one step of training.batch_tokens = {batch}; "
                    "raise it, or lower the other"
                )
            if len(set(steps)) < len(steps):
                raise ValueError(
                    f"{section}.tokens {list(counts)} are {steps} steps of training.batch_tokens = {batch}, "
                    "two of them the same; space them further apart"
                )
        return self

    @property
    def unique_share(self) -> float:
        """Share of each domain's available tokens that a proxy may read."""
        return min(1.0, self.proxies.tokens[-1] / self.target.tokens) if self.proxies.match_epochs else 1.0

    def path(self, relative: Path) -> Path:
        """A path of the plan, seen from where the command runs."""
        return self.folder / relative


def read_plan(path: Path | str) -> Plan:
    """Read a plan from TOML, filled in from its `base` where it names one.

    Raises:
        Refused: naming the file and up to three mistakes: a key that means nothing, with the nearest that does, a key
            that is missing, or a value with what was needed; and for a base that is not beside it, or leads back.
    """
    path = Path(path)
    content = _content(path)
    if "folder" in content:
        raise Refused(f"{path}: no key is called 'folder'; delete it")
    try:
        # As JSON, in which types are strict but a list is a tuple and a string a path, as they are in TOML.
        text = json.dumps({**_whole(content), "folder": str(path.parent)}, default=str)
        return Plan.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise Refused(f"{path}: {mistakes(error, _whole(content), Plan)}") from None


def _whole(content: Any) -> Any:
    """Floats that are whole as integers: people write 1e9 tokens."""
    if isinstance(content, dict):
        return {key: _whole(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_whole(value) for value in content]
    return int(content) if isinstance(content, float) and content.is_integer() else content


def _content(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a plan, those of its base filled in."""
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path}: {error}; correct the TOML") from None
    base = content.get("base")
    if base is None:
        return content
    if not isinstance(base, str) or Path(base).name != base:
        raise Refused(f"{path}: base is {base!r}; name a plan in the same folder")
    if path.with_name(base) in (path, *above):
        raise Refused(f"{path}: its base '{base}' leads back to itself; name the plan that it changes")
    with naming(f"{path}: its base"):
        return _merged(_content(path.with_name(base), (path, *above)), content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables key by key, the one above first."""
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merged(below[key], above[key])
    return merged
