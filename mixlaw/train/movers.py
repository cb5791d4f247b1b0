"""What each online method hears of a training: the signals of `mixlaw.online`, measured."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixlaw.corpus.shards import Corpus
from mixlaw.mixture import Array
from mixlaw.online.base import Method
from mixlaw.online.doge import Doge, Influence
from mixlaw.online.doremi import Doremi, Excess, domain_factors
from mixlaw.online.grape import Aligned, Grape
from mixlaw.online.odm import BatchLosses, Odm
from mixlaw.online.simplex import by_domain, uniform
from mixlaw.train.feed import Batch
from mixlaw.train.members import Member, Setting
from mixlaw.train.network import Slope
from mixlaw.train.passes import Passes
from mixlaw.train.pretrained import load_llama
from mixlaw.train.probes import Probes

OF_DOMAINS, OF_TARGETS = 1, 2
"""Streams of probes."""


@dataclass(frozen=True)
class View:
    """What a mover may look at: one member in training, and what can be computed of it.

    Attributes:
        member: that is trained.
        setting: of the study.
        corpus: opened.
        passes: over batches.
        size: sequences of a step.
    """

    member: Member
    setting: Setting
    corpus: Corpus
    passes: Passes
    size: int

    @property
    def count(self) -> int:
        """Of domains."""
        return len(self.setting.domains)

    def probes(self, names: tuple[str, ...], stream: int) -> Probes:
        """Batches of some domains or targets."""
        return Probes(self.corpus, self.setting, names, self.member.seed, stream)


class Mover(ABC):
    """Measures what a method needs and lets it move.

    Attributes:
        method: that is moved.
        every: steps between calls of `change`; none if there is no such call.
        samples: whether the method's weights are what is read by, or else the weights of the domains in the loss.
        weighs: whether the method has to see the losses of a step before its gradient.
    """

    method: Method[Any]
    every: tuple[int, ...] = ()
    samples = True
    weighs = False

    def change(self, step: int, rate: float) -> None:
        """Between the steps `step` and `step` + 1; `rate` is that of the second, as a share of its peak."""
        del step, rate

    def factors(self, batch: Batch, means: Array, losses: Tensor) -> Array | None:
        """Weights of the sequences of a batch before its step, (B,); None for even ones.

        Args:
            batch: that is trained on.
            means: (B,), mean loss of every sequence of all processes.
            losses: (1, b, S), of the tokens of this process's slice.
        """
        del batch, means, losses
        return None

    @property
    def targets(self) -> dict[str, float]:
        """Weights of the targets, by name, of a method that has such."""
        return {}

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as JSON."""
        return self.method.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self.method.restore(state)


class DoremiMover(Mover):
    """The excess loss of every batch over a reference model of the same shape."""

    samples, weighs = False, True

    def __init__(self, settings: Doremi, view: View, reference: Path) -> None:
        self.method = settings.begin(_start(view))
        self.view = view
        passes = view.passes
        self.reference = passes.pack.twin()
        self.reference.fill(load_llama(reference, passes.pack.layout))

    def factors(self, batch: Batch, means: Array, losses: Tensor) -> Array | None:
        """See `Mover.factors`: the weights move on this batch first, and then weigh it."""
        passes, domains = self.view.passes, batch.domains[0]
        excess = (losses - passes.token_losses(batch.tokens, self.reference)).clamp_(min=0)
        each = passes.processes.gathered(excess.sum(2)[0])
        clipped, sequences = by_domain(each, domains, self.view.count)
        weights = self.method.update(Excess(clipped, sequences * losses.shape[2]))
        factors: Array = domain_factors(weights, sequences)[domains]
        return factors


class DogeMover(Mover):
    """Inner products of the domains' gradients with that of the targets, or of the other domains."""

    samples, weighs = False, True

    def __init__(self, settings: Doge, view: View) -> None:
        self.method = settings.begin(_start(view))
        self.every = (settings.every,)
        self.view = view
        self.domains = view.probes(view.setting.domains, OF_DOMAINS)
        self.others = view.probes(settings.targets, OF_TARGETS) if settings.targets else None
        self.each = max(1, view.size // view.count)
        view.passes.processes.share(self.each)  # refused here rather than at the first update

    def change(self, step: int, rate: float) -> None:
        """See `Mover.change`."""
        passes, count = self.view.passes, self.view.count
        batches = [self.domains.of(place, self.each, step) for place in range(count)]
        wanted = batches
        if self.others is not None:
            wanted = [self.others.of(place, self.each, step) for place in range(len(self.others.sources))]
        weights = torch.full((len(wanted) * self.each,), 1 / self.each)
        held = passes.slope(torch.cat(wanted), weights)
        products, norms = np.empty(count), np.empty(count)
        for place, batch in enumerate(batches):
            slope = passes.slope(batch)
            products[place], norms[place] = slope.product(held), slope.norm
            del slope
        if self.others is None:
            products = products - norms**2
        if np.isfinite(products).all():
            self.method.update(Influence(products, norms, rate))

    def factors(self, batch: Batch, means: Array, losses: Tensor) -> Array | None:
        """See `Mover.factors`."""
        del losses
        domains = batch.domains[0]
        sequences = by_domain(means, domains, self.view.count)[1]
        factors: Array = domain_factors(self.method.weights, sequences)[domains]
        return factors


class GrapeMover(Mover):
    """Inner products of gradients, one held at a time: of the batch against the targets', then of those together
    against the domains'.
    """

    def __init__(self, settings: Grape, view: View) -> None:
        self.settings, self.view = settings, view
        self.names = settings.targets or view.setting.targets
        self.method = self.alignment = settings.begin(_start(view), len(self.names))
        self.every = (settings.every, settings.every_targets or settings.every)
        self.domains = view.probes(view.setting.domains, OF_DOMAINS)
        self.others = view.probes(self.names, OF_TARGETS)
        self.size = settings.sequences or view.size
        view.passes.processes.share(self.size)  # refused here rather than at the first update

    def change(self, step: int, rate: float) -> None:
        """See `Mover.change`: targets first, since the domains follow their weights."""
        every, every_targets = self.every
        if step and (step % every_targets == 0 or self.alignment.losses is None):
            self._targets(step, rate)
        if step and step % every == 0 and self.alignment.losses is not None:
            self._domains(step, rate)

    def _targets(self, step: int, rate: float) -> None:
        passes, batches = self.view.passes, [self.others.of(n, self.size, step) for n in range(len(self.names))]
        if self.settings.signal == "loss":
            losses = np.array([passes.mean_loss(batch) for batch in batches])
            signals = None
        else:
            held = passes.slope(self.domains.mixed(self.alignment.weights, self.size, step)[0])
            losses, signals = self._against(held, batches, rate)
        if np.isfinite(losses).all():
            self.alignment.update_targets(losses, signals, rate)

    def _domains(self, step: int, rate: float) -> None:
        sequences, text = self.others.mixed(self.alignment.targets, self.size, step)
        held = self.view.passes.slope(sequences, torch.from_numpy(self.alignment.scales[text] / self.size))
        batches = [self.domains.of(place, self.size, step) for place in range(self.view.count)]
        losses, signals = self._against(held, batches, rate)
        if np.isfinite(losses).all():
            self.alignment.update(signals)

    def _against(self, held: Slope, batches: list[Tensor], rate: float) -> tuple[Array, Aligned]:
        """Losses of batches, and their gradients against the held one; each is reduced to numbers as it is made."""
        losses, products, norms = (np.empty(len(batches)) for _ in range(3))
        for place, batch in enumerate(batches):
            slope = self.view.passes.slope(batch)
            losses[place], products[place], norms[place] = slope.loss, slope.product(held), slope.norm
            del slope
        return losses, Aligned(products, norms, held.norm, rate)

    @property
    def targets(self) -> dict[str, float]:
        """See `Mover.targets`."""
        return dict(zip(self.names, self.alignment.targets.tolist(), strict=True))


class OdmMover(Mover):
    """The losses of the sequences that are trained on."""

    weighs = True

    def __init__(self, settings: Odm, view: View) -> None:
        self.method = settings.begin(_start(view))
        self.every = (settings.every,)
        self.count = view.count
        self.sums, self.sequences = np.zeros(self.count), np.zeros(self.count)

    def change(self, step: int, rate: float) -> None:
        """See `Mover.change`: by all that was read since the last."""
        del step, rate
        if self.sequences.any():
            self.method.update(BatchLosses(self.sums, self.sequences))
            self.sums, self.sequences = np.zeros(self.count), np.zeros(self.count)

    def factors(self, batch: Batch, means: Array, losses: Tensor) -> Array | None:
        """See `Mover.factors`."""
        del losses
        sums, sequences = by_domain(means, batch.domains[0], self.count)
        self.sums, self.sequences = self.sums + sums, self.sequences + sequences
        return None

    def state(self) -> dict[str, Any]:
        """See `Mover.state`."""
        return {**super().state(), "sums": self.sums.tolist(), "sequences": self.sequences.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Mover.restore`."""
        super().restore(state)
        self.sums, self.sequences = np.array(state["sums"]), np.array(state["sequences"])


def mover_of(view: View, reference: Path | None) -> Mover | None:
    """What moves a member's mixture or weights; None if nothing does.

    Args:
        view: of the member.
        reference: the model that DoReMi's losses are held against.
    """
    settings = view.member.online
    if isinstance(settings, Doremi):
        if reference is None:
            raise ValueError("DoReMi's proxy needs a reference")
        return DoremiMover(settings, view, reference)
    if isinstance(settings, Doge):
        return DogeMover(settings, view)
    if isinstance(settings, Grape):
        return GrapeMover(settings, view)
    if isinstance(settings, Odm):
        return OdmMover(settings, view)
    return None


def _start(view: View) -> Array:
    """The weights that a method begins with: the member's mixture."""
    return view.member.mixture.aligned(view.setting.domains)


def read_by(member: Member, setting: Setting) -> Array:
    """The proportions that a member's first step is read by: a proxy whose domains are weighed reads them equally."""
    if isinstance(member.online, Doremi | Doge):
        return uniform(len(setting.domains))
    return member.mixture.aligned(setting.domains)
