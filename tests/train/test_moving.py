"""What moves while a run trains is a function of the step: stages, branches, online methods and sample weights."""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mixlaw.corpus.shards import open_corpus
from mixlaw.mixture import Mixture
from mixlaw.online import Doge, Doremi, Grape, Odm, Settings
from mixlaw.online.samples import Samples
from mixlaw.plan import Training
from mixlaw.runs import check_runs
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.device import Compute
from mixlaw.train.feed import Batch, Feed
from mixlaw.train.ladder import Shape
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting, Stage
from mixlaw.train.model import named, of_member, pack_loss, token_losses
from mixlaw.train.movers import DogeMover, GrapeMover
from mixlaw.train.passes import Passes, Slope
from mixlaw.train.pretrained import load_llama, save_llama

CPU = Compute(torch.device("cpu"))
DOMAINS = ("digits", "marks", "prose")
BASE, FINAL = Mixture(DOMAINS, (0.6, 0.3, 0.1)), Mixture(DOMAINS, (0.1, 0.2, 0.7))
STEPS, SEQUENCES = 60, 6


@dataclass
class Heard:
    """Reports, kept."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def measured(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def weights(self, row: dict[str, Any]) -> None:
        self.entries.append(row)

    def failed(self, run: str, reason: str) -> None:
        raise AssertionError(f"{run}: {reason}")

    def trained(self, tokens: int) -> None:
        pass

    @property
    def table(self) -> pd.DataFrame:
        """The run table that records of these rows give: the last told of each count of tokens."""
        last = {row["tokens"]: row for row in self.rows}
        return check_runs(pd.DataFrame(last.values())).frame


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    shape = Shape("small", width=16, layers=1, heads=2, inner=32)
    monkeypatch.setattr("mixlaw.train.members.shape_of", lambda name: shape)


@pytest.fixture
def setting(tiny_corpus: Path) -> Setting:
    training = Training(sequence_length=32, batch_tokens=32 * SEQUENCES, learning_rate=5e-3, evaluation_tokens=512)
    return Setting(tiny_corpus, "", DOMAINS, ("prose", "digits"), {"marks": 2000}, training)


def member(mixture: Mixture = BASE, **changes: Any) -> Member:
    tokens = (20 * 32 * SEQUENCES, STEPS * 32 * SEQUENCES)
    return replace(Member("m", "m", mixture, "small", tokens, 3, full=True), **changes)


def staged(*stages: tuple[float, Mixture]) -> Member:
    return member(stages=tuple(Stage(last, mixture) for last, mixture in stages))


def run_of(setting: Setting, of: Member, **kept: Any) -> tuple[PackRun, Heard]:
    heard = Heard()
    return PackRun([of], setting, open_corpus(setting.corpus), CPU, heard, **kept), heard


def trained(setting: Setting, of: Member, **kept: Any) -> tuple[PackRun, Heard]:
    run, heard = run_of(setting, of, **kept)
    run.train()
    return run, heard


def bits(run: PackRun) -> tuple[bytes, ...]:
    return tuple(buffer.detach().numpy().tobytes() for buffer in (*run.pack.buffers, *run.read.buffers))


@pytest.fixture
def reference(setting: Setting, tmp_path: Path) -> Path:
    run, _ = trained(setting, member(Mixture.uniform(DOMAINS)))
    own = {name: weight[0] for name, weight in named(run.layout, *run.read.buffers).items()}
    save_llama(tmp_path / "reference", run.layout, own, run.corpus, 32)
    return tmp_path / "reference"


METHODS: dict[str, Settings] = {
    "grape": Grape(every=7, targets=("prose", "digits"), sequences=4),
    "grape-loss": Grape(every=5, every_targets=10, signal="loss", improvement="ema"),
    "odm": Odm(every=3),
    "doge": Doge(every=4, strength=1e-4),
    "doge-targets": Doge(every=5, targets=("prose",), strength=2e-3),
    "doremi": Doremi(),
}


def test_a_run_with_stages_meets_the_quotas_of_each_to_one_sequence(setting: Setting) -> None:
    run, heard = trained(setting, staged((0.4, FINAL)))
    switch = 36
    first = Feed([member()], setting, run.corpus).totals(switch)[0]
    np.testing.assert_array_less(np.abs(first - switch * SEQUENCES * np.array(BASE.proportions)), 1)
    both = switch * np.array(BASE.proportions) + (STEPS - switch) * np.array(FINAL.proportions)
    np.testing.assert_array_less(np.abs(run.feed.read(STEPS)[0] - SEQUENCES * both), 1)
    realised = [heard.table[f"mix.{domain}"].iloc[0] for domain in DOMAINS]
    np.testing.assert_allclose(realised, run.feed.read(STEPS)[0] / (STEPS * SEQUENCES), rtol=1e-12)
    read = {row["step"]: [row[f"mix.{domain}"] for domain in DOMAINS] for row in heard.entries}
    assert read[switch] == list(BASE.proportions) and read[switch + 1] == list(FINAL.proportions)


def test_the_rows_of_a_run_in_two_stages_say_what_its_final_phase_read(setting: Setting, tmp_path: Path) -> None:
    run, heard = trained(setting, staged((0.4, FINAL)), branch=Checkpoint(tmp_path / "base.safetensors", "base"))
    table, switch = heard.table, 36
    assert table["final_share"].tolist() == [(STEPS - switch) / STEPS] * 2
    before = Feed([member()], setting, run.corpus).totals(switch)[0]
    after = run.feed.read(STEPS)[0] - before
    np.testing.assert_allclose(table[[f"final.{d}" for d in DOMAINS]].iloc[0], after / after.sum(), rtol=1e-12)
    _, again = trained(setting, staged((0.4, FINAL)), branch=Checkpoint(tmp_path / "base.safetensors", "base"))
    pd.testing.assert_frame_equal(again.table, table)


@pytest.mark.parametrize("stages", [(), ((0.3, BASE),), ((1.0, FINAL),), ((0.6, FINAL), (0.3, BASE))])
def test_rows_of_one_mixture_or_of_three_claim_no_final_phase(
    setting: Setting, stages: tuple[tuple[float, Mixture], ...]
) -> None:
    _, heard = trained(setting, staged(*stages))
    assert not any(name.startswith("final") for name in heard.table)


@pytest.mark.parametrize("stages", [((0.0, FINAL),), ((0.3, BASE),), ((0.5, BASE), (0.25, BASE))])
def test_stages_that_change_nothing_give_the_bits_of_an_uninterrupted_run(
    setting: Setting, stages: tuple[tuple[float, Mixture], ...]
) -> None:
    plain, told = trained(setting, member())
    other, heard = trained(setting, staged(*stages))
    assert bits(other) == bits(plain)
    assert [row["loss.prose"] for row in heard.rows[:2]] == [row["loss.prose"] for row in told.rows]
    switched, _ = trained(setting, staged((0.3, FINAL)))
    assert bits(switched) != bits(plain)


def test_final_phases_share_one_base_run_and_equal_the_runs_trained_whole(setting: Setting, tmp_path: Path) -> None:
    def branch() -> Checkpoint:
        return Checkpoint(tmp_path / "base.safetensors", "the same base")

    first, _ = trained(setting, staged((0.4, FINAL)), branch=branch())
    other = replace(staged((0.4, Mixture.uniform(DOMAINS))), run="other", group="other")
    whole, expected = trained(setting, other)
    steps: list[int] = []
    run, heard = run_of(setting, other, branch=branch())
    original = run._step
    run._step = lambda step, batch: (steps.append(step), original(step, batch))[1]  # type: ignore[method-assign]
    run.train()
    assert steps[0] == 37
    assert bits(run) == bits(whole) != bits(first)
    assert heard.table.equals(expected.table)
    assert heard.entries == expected.entries
    assert set(heard.table["run"]) == {"other"}


@pytest.mark.parametrize("name", [*METHODS, "linupper", "stages"])
@pytest.mark.parametrize("stop", [13, 42])
def test_a_run_killed_half_way_moves_as_if_it_had_not_been(
    setting: Setting, reference: Path, tmp_path: Path, name: str, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixlaw.train.moving.ENTRIES", 12)
    if name == "linupper":
        of = member(samples=Samples(temperature=0.4), online=Odm())
    else:
        of = staged((0.4, FINAL)) if name == "stages" else member(online=METHODS[name])
    whole, expected = trained(setting, of, reference=reference)
    path = tmp_path / "checkpoint.safetensors"
    run, heard = run_of(setting, of, reference=reference, checkpoint=Checkpoint(path, "same", every_s=0))
    original = run._step

    class Killed(Exception):
        pass

    def step(number: int, batch: Batch) -> None:
        if number > stop:
            raise Killed
        original(number, batch)

    run._step = step  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run.train()
    again, later = trained(setting, of, reference=reference, checkpoint=Checkpoint(path, "same"))
    entries = {row["step"]: row for row in [*heard.entries, *later.entries]}
    assert [entries[row["step"]] for row in expected.entries] == expected.entries
    assert later.entries[0]["step"] == stop - stop % 5 + 5
    assert bits(again) == bits(whole)
    heard.rows += later.rows
    assert heard.table.equals(expected.table)


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_moves_from_the_mixture_it_is_given(setting: Setting, reference: Path, name: str) -> None:
    _, heard = trained(setting, member(online=METHODS[name]), reference=reference)
    rows = pd.DataFrame(heard.entries)
    assert rows["step"].tolist() == list(range(1, STEPS + 1))
    weights = rows[[f"weight.{domain}" for domain in DOMAINS]].to_numpy()
    assert np.allclose(weights.sum(1), 1) and (weights >= 0).all()
    assert np.abs(weights[-1] - BASE.proportions).max() > 1e-3
    if name in ("doge", "doge-targets", "doremi"):
        assert np.allclose(rows[[f"mix.{domain}" for domain in DOMAINS]], 1 / 3)
    else:
        assert rows.loc[0, [f"mix.{domain}" for domain in DOMAINS]].tolist() == list(BASE.proportions)
    np.testing.assert_allclose(heard.table[[f"mix.{d}" for d in DOMAINS]].iloc[0].sum(), 1)


def test_a_mixture_that_keeps_moving_is_followed_to_one_sequence_and_a_half(setting: Setting) -> None:
    run, heard = trained(setting, member(online=Odm()))
    owed = sum(np.array([row[f"mix.{domain}"] for domain in DOMAINS]) for row in heard.entries) * SEQUENCES
    assert np.abs(run.feed.read(STEPS)[0] - owed).max() < 1 + 1 / 2 + 1 / 3


def test_grape_holds_one_gradient_beside_the_one_it_measures(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = run_of(setting, member(online=METHODS["grape"]))
    assert run.moving is not None and run.moving.mover is not None
    alive: weakref.WeakSet[Slope] = weakref.WeakSet()
    counts: list[int] = []
    original = Passes.slope

    def counted(passes: Passes, *arguments: Any) -> Slope:
        slope = original(passes, *arguments)
        alive.add(slope)
        counts.append(len(alive))
        assert all(buffer.grad is None for buffer in passes.pack.buffers)
        return slope

    monkeypatch.setattr(Passes, "slope", counted)
    run.moving.mover.change(7, 1e-3)
    assert len(counts) == 1 + 2 + 1 + 3
    assert max(counts) == 2
    assert run.moving.mover.state()["updates"] == 1


def test_a_measured_gradient_is_that_of_autograd(setting: Setting) -> None:
    run, _ = run_of(setting, member())
    with torch.no_grad():
        run.pack.buffers[1].add_(
            0.05 * torch.randn(run.pack.buffers[1].shape, generator=torch.Generator().manual_seed(0))
        )
    batches = [torch.randint(256, (4, 33), generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    losses = [pack_loss(run.layout, *run.pack.buffers, batch.unsqueeze(0), run.turn).sum() for batch in batches]
    slopes = [torch.autograd.grad(loss, run.pack.buffers) for loss in losses]
    expected = sum(float((a.double() * b.double()).sum()) for a, b in zip(*slopes, strict=True))
    first, second = (run.passes.slope(batch) for batch in batches)
    assert first.product(second) == pytest.approx(expected, rel=1e-4)
    assert first.norm == pytest.approx(math.sqrt(first.product(first)), rel=1e-5)
    assert first.loss == pytest.approx(losses[0].item())
    weighed = run.passes.slope(batches[0], torch.full((4,), 0.5))
    assert weighed.product(second) == pytest.approx(2 * expected, rel=1e-4)


def test_doge_aligns_every_domain_with_the_others_and_not_with_itself(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = run_of(setting, member(online=Doge()))
    assert run.moving is not None and isinstance(run.moving.mover, DogeMover)
    mover, heard = run.moving.mover, []
    monkeypatch.setattr(mover.method, "update", heard.append)
    mover.change(4, 1.0)
    slopes = [run.passes.slope(mover.domains.of(place, mover.each, 4)) for place in range(3)]
    expected = [
        sum(one.product(other) for j, other in enumerate(slopes) if j != place) for place, one in enumerate(slopes)
    ]
    np.testing.assert_allclose(heard[0].products, expected, rtol=1e-4)
    np.testing.assert_allclose(heard[0].norms, [slope.norm for slope in slopes], rtol=1e-6)


def test_grape_aligns_every_domain_with_the_relative_improvement_of_the_targets(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = run_of(setting, member(online=METHODS["grape"]))
    assert run.moving is not None and isinstance(run.moving.mover, GrapeMover)
    mover, heard, losses = run.moving.mover, [], np.array([2.0, 8.0])
    mover.alignment.losses = mover.alignment.running = losses
    mover.alignment.targets = np.array([0.25, 0.75])
    run.pack.parts[1].add_(0.1 * torch.randn(run.pack.parts[1].shape, generator=torch.Generator().manual_seed(0)))
    monkeypatch.setattr(mover.alignment, "update", heard.append)
    mover.change(7, 1.0)
    weights, scales = mover.alignment.targets, mover.alignment.scales
    assert (weights != [0.25, 0.75]).all(), "the targets moved first"
    sequences, text = mover.others.mixed(weights, 4, 7)
    targets = [run.passes.slope(sequences[torch.from_numpy(text == n)]) for n in np.unique(text)]
    counted = [(text == n).mean() * scales[n] for n in np.unique(text)]
    expected = [
        sum(share * slope.product(target) for share, target in zip(counted, targets, strict=True))
        for slope in (run.passes.slope(mover.domains.of(place, 4, 7)) for place in range(3))
    ]
    np.testing.assert_allclose(heard[0].products, expected, rtol=1e-3)


def test_grape_aligns_every_target_with_a_batch_of_the_mixture(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = run_of(setting, member(Mixture(DOMAINS, (0.75, 0.25, 0.0)), online=METHODS["grape"]))
    assert run.moving is not None and isinstance(run.moving.mover, GrapeMover)
    mover, heard = run.moving.mover, []
    monkeypatch.setattr(mover.alignment, "update_targets", lambda *signals: heard.append(signals))
    mover.change(7, 0.5)
    (losses, signals, rate), passes = heard[0], run.passes
    held = passes.slope(torch.cat([mover.domains.of(0, 3, 7), mover.domains.of(1, 1, 7)]))
    slopes = [passes.slope(mover.others.of(place, 4, 7)) for place in range(2)]
    np.testing.assert_allclose(signals.products, [slope.product(held) for slope in slopes], rtol=1e-4)
    np.testing.assert_allclose(losses, [slope.loss for slope in slopes], rtol=1e-6)
    assert rate == 0.5 and signals.held_norm == pytest.approx(held.norm, rel=1e-5)


def test_doremi_weighs_by_the_excess_over_its_reference_token_by_token(setting: Setting, reference: Path) -> None:
    run, _ = run_of(setting, member(Mixture.uniform(DOMAINS), online=Doremi()), reference=reference)
    assert run.moving is not None and run.moving.mover is not None
    run.pack.fill(load_llama(reference, run.layout))
    noise = torch.randn(run.pack.parts[1].shape, generator=torch.Generator().manual_seed(0))
    run.pack.parts[1].add_(0.3 * noise)
    batch = next(iter(run.feed.batches(0, 1, CPU)))
    losses = token_losses(run.layout, *run.pack.buffers, batch.tokens, run.turn)
    others = token_losses(run.layout, *load_llama(reference, run.layout), batch.tokens, run.turn)
    assert 0.2 < (losses < others).double().mean() < 0.8, "else it is all one what is cut off"
    excess = (losses - others).clamp(min=0)[0].double().numpy()
    weights = run.moving.weights(1, batch, losses)[0].numpy()
    scores = np.array([excess[batch.domains[0] == domain].mean() for domain in range(3)])
    expected = np.exp(scores) / np.exp(scores).sum() * (1 - 1e-3) + 1e-3 / 3
    np.testing.assert_allclose(run.moving.mover.method.weights, expected, rtol=1e-6)
    for domain in range(3):
        assert weights[batch.domains[0] == domain].sum() == pytest.approx(expected[domain], rel=1e-5)


def test_a_model_that_was_saved_is_the_reference_that_is_loaded(setting: Setting, tmp_path: Path) -> None:
    run, _ = run_of(setting, member())
    save_llama(tmp_path / "model", run.layout, of_member(run.layout, run.pack.buffers, 0), run.corpus, 32)
    for ours, theirs in zip(load_llama(tmp_path / "model", run.layout), run.pack.buffers, strict=True):
        assert torch.equal(ours, theirs)


def test_a_high_temperature_trains_as_without_sample_weights(setting: Setting) -> None:
    plain, told = trained(setting, member())
    _, heard = trained(setting, member(samples=Samples(temperature=1e9, burn_in=0)))
    steep, _ = trained(setting, member(samples=Samples(temperature=0.1, burn_in=0)))
    assert [row["loss.prose"] for row in heard.rows[:2]] == pytest.approx(
        [row["loss.prose"] for row in told.rows], rel=1e-5
    )
    assert {round(row["effective_samples"], 6) for row in heard.entries} == {SEQUENCES}
    assert bits(steep) != bits(plain)


def test_the_burn_in_trains_bit_for_bit_as_without_sample_weights(setting: Setting) -> None:
    _, told = trained(setting, member())
    _, heard = trained(setting, member(samples=Samples(temperature=0.1, burn_in=0.5)))
    assert heard.rows[0]["loss.prose"] == told.rows[0]["loss.prose"]
    assert heard.rows[1]["loss.prose"] != told.rows[1]["loss.prose"]
    assert next(row["step"] for row in heard.entries if "effective_samples" in row) == STEPS // 2 + 1


@pytest.mark.parametrize("samples", [None, Samples(temperature=0.4, burn_in=0)])
@pytest.mark.parametrize("online", [None, Grape(every=20)])
def test_pieces_of_a_batch_train_as_the_whole_does(
    setting: Setting, samples: Samples | None, online: Settings | None
) -> None:
    pieces = replace(setting, training=setting.training.model_copy(update={"micro_batches": 3}))
    of = member(samples=samples, online=online)
    _, whole = trained(setting, of)
    _, cut = trained(pieces, of)
    for ours, theirs in zip(cut.rows, whole.rows, strict=True):
        assert ours["loss.prose"] == pytest.approx(theirs["loss.prose"], rel=2e-4)


def test_a_batch_of_domains_without_weight_moves_nothing(setting: Setting) -> None:
    run, _ = run_of(setting, member(Mixture(DOMAINS, (1.0, 0.0, 0.0)), online=Doge()))
    assert run.moving is not None
    batch = next(iter(run.feed.batches(0, 1, CPU)))
    without = Batch(batch.tokens, np.ones_like(batch.domains))
    losses = token_losses(run.layout, *run.pack.buffers, batch.tokens, run.turn)
    assert not run.moving.weights(1, without, losses).any()
    assert run.moving.loss == pytest.approx(losses.mean().item(), rel=1e-6)


def test_losses_that_are_not_numbers_move_nothing(setting: Setting) -> None:
    run, _ = run_of(setting, member(online=Odm(), samples=Samples(burn_in=0)))
    assert run.moving is not None and run.moving.mover is not None
    batch, before = next(iter(run.feed.batches(0, 1, CPU))), run.moving.mover.state()
    weights = run.moving.weights(1, batch, torch.full((1, SEQUENCES, 32), math.nan))
    assert weights.tolist() == [[pytest.approx(1 / SEQUENCES)] * SEQUENCES]
    assert math.isnan(run.moving.loss) and run.moving.mover.state() == before


def test_sample_weights_multiply_those_of_the_domains(setting: Setting) -> None:
    run, _ = run_of(setting, member(online=Doge(strength=1e-4), samples=Samples(burn_in=0)))
    assert run.moving is not None and run.moving.mover is not None
    batch = next(iter(run.feed.batches(0, 1, CPU)))
    losses = token_losses(run.layout, *run.pack.buffers, batch.tokens, run.turn) + torch.rand(1, SEQUENCES, 1)
    together = run.moving.weights(1, batch, losses)[0].numpy()
    means = losses.mean(2)[0].double().numpy()
    domains = run.moving.mover.factors(batch, means, losses)
    assert domains is not None
    np.testing.assert_allclose(together, domains * SEQUENCES * Samples().weights(means), rtol=1e-5)


def test_a_pack_of_several_members_has_nothing_that_moves(setting: Setting) -> None:
    with pytest.raises(ValueError, match="trained alone"):
        PackRun([member(), replace(member(), online=Odm())], setting, open_corpus(setting.corpus), CPU, Heard())


@pytest.mark.parametrize("change", ["online", "samples", "stages", "reference", "unique"])
def test_a_member_reads_back_from_json(change: str) -> None:
    values: dict[str, Callable[[], Any]] = {
        "online": lambda: Grape(every=7),
        "samples": lambda: Samples(strategy="quadratic"),
        "stages": lambda: (Stage(0.2, FINAL), Stage(0.1, BASE)),
        "reference": lambda: "natural-reference",
        "unique": lambda: 0.25,
    }
    of = member(**{change: values[change]()})
    assert Member.from_json(of.as_json()) == of
    assert set(member().as_json()) == {"run", "group", "mixture", "size", "tokens", "seed", "full", "unique"}
