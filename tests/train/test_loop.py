"""What a pack measures: rows at the planned counts, the mixture it realised, failures by name, the same bits again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused
from mixlaw.mixture import Mixture
from mixlaw.plan import Training
from mixlaw.runs import check_runs
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.device import Compute
from mixlaw.train.ladder import Shape
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import of_member, token_losses
from mixlaw.train.pretrained import save_llama

CPU = Compute(torch.device("cpu"))
DOMAINS = ("digits", "marks", "prose")
DIGITS, MIXED = (0.9, 0.05, 0.05), (0.2, 0.3, 0.5)


@dataclass
class Heard:
    """Reports, kept."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    tokens: int = 0

    def measured(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def failed(self, run: str, reason: str) -> None:
        self.failures[run] = reason

    def trained(self, tokens: int) -> None:
        self.tokens += tokens


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape("small", width=16, layers=1, heads=2, inner=32)
    monkeypatch.setattr("mixlaw.train.members.shape_of", lambda name: shape)


def setting(corpus: Path, **changes: Any) -> Setting:
    numbers = {"sequence_length": 32, "batch_tokens": 128, "learning_rate": 5e-3, "evaluation_tokens": 512}
    training = Training(**{**numbers, **changes})
    return Setting(corpus, "", DOMAINS, ("prose", "digits"), {"marks": 2000}, training)


def member(run: str, proportions: tuple[float, ...], seed: int, tokens: tuple[int, ...] = (2560, 6400)) -> Member:
    return Member(run, run, Mixture(DOMAINS, proportions), "small", tokens, seed)


def trained(setting: Setting, *members: Member, checkpoint: Checkpoint | None = None) -> Heard:
    heard = Heard()
    PackRun(members, setting, open_corpus(setting.corpus), CPU, heard, checkpoint).train()
    return heard


def losses(rows: list[Mapping[str, Any]], run: str) -> list[float]:
    return [row[f"loss.{target}"] for row in rows if row["run"] == run for target in ("prose", "digits")]


def test_a_pack_tells_a_row_of_the_run_table_at_every_planned_count(tiny_corpus: Path) -> None:
    heard = trained(setting(tiny_corpus), member("d", DIGITS, 1), member("m", MIXED, 2))
    assert [(row["run"], row["tokens"], row["step"]) for row in heard.rows] == [
        ("d", 2560, 20),
        ("m", 2560, 20),
        ("d", 6400, 50),
        ("m", 6400, 50),
    ]
    table = check_runs(pd.DataFrame(heard.rows))
    assert (table.domains, table.targets, table.notes) == (DOMAINS, ("prose", "digits"), ())
    assert heard.tokens == 2 * 6400
    assert {row["kind"] for row in heard.rows} == {"read-out"}


def test_the_mixture_of_a_row_is_the_one_the_run_realised(tiny_corpus: Path) -> None:
    first, last = trained(setting(tiny_corpus), member("m", (0.113, 0.2, 0.687), 2)).rows
    drawn = [last[f"mix.{domain}"] * 200 for domain in DOMAINS]
    assert all(count == pytest.approx(round(count), abs=1e-9) for count in drawn)
    assert max(abs(count / 200 - share) for count, share in zip(drawn, (0.113, 0.2, 0.687), strict=True)) < 1 / 200
    assert first["mix.prose"] == last["mix.prose"]
    assert last["epochs.marks"] == pytest.approx(drawn[1] / (2000 // 32))
    assert first["epochs.marks"] == pytest.approx(0.4 * last["epochs.marks"], rel=0.05)


def test_a_run_that_may_read_a_tenth_of_the_data_reads_it_ten_times_as_often(tiny_corpus: Path) -> None:
    few, all_ = (
        trained(setting(tiny_corpus), replace(member("m", MIXED, 2), unique=share)).rows[-1] for share in (0.1, 1.0)
    )
    assert few["mix.marks"] == all_["mix.marks"]
    assert few["epochs.marks"] == pytest.approx(all_["epochs.marks"] * (2000 // 32) / (200 // 32))
    with pytest.raises(Refused, match="less than one sequence of 'marks'"):
        trained(setting(tiny_corpus), replace(member("m", MIXED, 2), unique=0.01))


def test_a_run_goes_on_from_the_weights_of_a_model(tiny_corpus: Path, tmp_path: Path) -> None:
    asked, corpus = setting(tiny_corpus, schedule="wsd"), open_corpus(tiny_corpus)
    first = PackRun([member("d", DIGITS, 1)], asked, corpus, CPU, Heard())
    first.train()
    save_llama(tmp_path / "model", first.layout, of_member(first.layout, first.pack.buffers, 0), corpus, 32)
    heard = Heard()
    onward = replace(asked, initial=tmp_path / "model")
    second = PackRun([member("p", (0.05, 0.05, 0.9), 2), member("m", MIXED, 3)], onward, corpus, CPU, heard)
    for ours, theirs in zip(second.pack.buffers, first.pack.buffers, strict=True):
        assert torch.equal(ours, theirs.expand_as(ours))
    second.train()
    fresh = trained(asked, member("p", (0.05, 0.05, 0.9), 2))
    assert losses(heard.rows, "p")[0] < losses(fresh.rows, "p")[0]


def test_training_on_a_domain_lowers_its_own_loss_most(tiny_corpus: Path) -> None:
    heard = trained(setting(tiny_corpus), member("d", DIGITS, 1), member("p", (0.05, 0.05, 0.9), 1))
    last = {row["run"]: row for row in heard.rows if row["tokens"] == 6400}
    assert last["d"]["loss.digits"] < last["p"]["loss.digits"] - 0.1
    assert last["p"]["loss.prose"] < last["d"]["loss.prose"] - 0.1


def test_bits_per_byte_are_nats_per_token_over_bytes_per_token(tiny_corpus: Path) -> None:
    row = trained(setting(tiny_corpus), member("m", MIXED, 2)).rows[-1]
    per_token = open_corpus(tiny_corpus).bytes_per_token["prose"]
    assert row["bpb.prose"] == pytest.approx(row["loss.prose"] / math.log(2) / per_token)


def test_a_loss_is_the_mean_over_the_first_validation_sequences(tiny_corpus: Path) -> None:
    heard, corpus = Heard(), open_corpus(tiny_corpus)
    run = PackRun([member("m", MIXED, 2)], setting(tiny_corpus), corpus, CPU, heard)
    run.train()
    batch = torch.tensor(corpus.sequences("digits", "validation", 32)[:16].astype("int64")).unsqueeze(0)
    expected = token_losses(run.layout, *run.read.buffers, batch, run.turn).double().mean().item()
    assert heard.rows[-1]["loss.digits"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("schedule", "kinds"),
    [
        ("constant", ["read-out", "read-out"]),
        ("wsd", ["mid-schedule", "decayed"]),
        ("cosine", ["mid-schedule", "decayed"]),
    ],
)
def test_a_row_says_whether_its_weights_are_averaged_decayed_or_neither(
    tiny_corpus: Path, schedule: str, kinds: list[str]
) -> None:
    heard = trained(setting(tiny_corpus, schedule=schedule), member("m", MIXED, 2))
    assert [row["kind"] for row in heard.rows] == kinds


def test_the_same_member_gives_the_same_bits_again_and_another_seed_others(tiny_corpus: Path) -> None:
    rows = [trained(setting(tiny_corpus), member("m", MIXED, seed)).rows for seed in (2, 2, 3)]
    assert rows[0] == rows[1]
    assert losses(rows[0], "m") != losses(rows[2], "m")


def test_a_packed_member_measures_what_it_measures_alone(tiny_corpus: Path) -> None:
    together = trained(setting(tiny_corpus), member("d", DIGITS, 1), member("m", MIXED, 2)).rows
    alone = trained(setting(tiny_corpus), member("m", MIXED, 2)).rows
    assert losses(together, "m") == pytest.approx(losses(alone, "m"), rel=1e-4)


def test_a_member_that_diverges_is_named_and_its_neighbours_go_on(
    tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    run = PackRun(
        [member("a", MIXED, 1), member("b", MIXED, 2)], setting(tiny_corpus), open_corpus(tiny_corpus), CPU, heard
    )
    with torch.no_grad():
        run.pack.buffers[0][0, 0] = torch.nan
    run.train()
    assert heard.failures == {"a": "the loss is not a number at 2560 tokens"}
    assert [row["run"] for row in heard.rows] == ["b", "b"]


def test_a_rate_far_too_high_is_told_as_divergence_and_ends_the_pack(tiny_corpus: Path) -> None:
    heard = trained(setting(tiny_corpus, learning_rate=0.5), member("m", MIXED, 2))
    assert "above the 5.5" in heard.failures["m"]
    assert heard.rows == []
    assert heard.tokens == 2560


class Asked(TorchDispatchMode):
    """Remembers every operation whose outcome, on a GPU, the host would wait for."""

    waits = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        if function.overloadpacket.__name__ in self.waits:
            self.found.append(str(function))
        return function(*given, **(named or {}))


@pytest.mark.parametrize("pieces", [1, 2])
def test_no_step_asks_for_a_number_that_a_gpu_would_have_to_send(
    tiny_corpus: Path, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, original, steps = Asked(), PackRun._step, []

    def step(run: PackRun, number: int, batch: torch.Tensor) -> None:
        with asked, monkeypatch.context() as patched:
            for name in ("tolist", "numpy", "cpu", "item"):
                patched.setattr(torch.Tensor, name, lambda *_, name=name: asked.found.append(name))
            original(run, number, batch)
        steps.append(number)

    with monkeypatch.context() as patched:
        patched.setattr(PackRun, "_step", step)
        trained(setting(tiny_corpus, micro_batches=pieces), member("d", DIGITS, 1), member("m", MIXED, 2))
    assert len(steps) == 50 and asked.found == []
    with asked:
        assert torch.ones(2).sum() == 2
    assert asked.found, "what is looked for would have been seen"


@pytest.mark.parametrize("stop", [7, 33])
def test_a_run_resumed_from_a_checkpoint_ends_with_the_same_bits(
    tiny_corpus: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(setting(tiny_corpus), member("m", MIXED, 2)).rows

    class Killed(Exception):
        pass

    def step(run: PackRun, number: int, batch: torch.Tensor) -> None:
        if number > stop:
            raise Killed
        original(run, number, batch)

    original = PackRun._step
    path = tmp_path / "checkpoint.safetensors"
    monkeypatch.setattr(PackRun, "_step", step)
    with pytest.raises(Killed):
        trained(setting(tiny_corpus), member("m", MIXED, 2), checkpoint=Checkpoint(path, "same", every_s=0))
    monkeypatch.setattr(PackRun, "_step", original)
    heard = trained(setting(tiny_corpus), member("m", MIXED, 2), checkpoint=Checkpoint(path, "same"))
    assert heard.rows == [row for row in whole if row["step"] > stop]
    assert heard.tokens == 128 * (50 - stop)
    other = trained(setting(tiny_corpus), member("m", MIXED, 2), checkpoint=Checkpoint(path, "other"))
    assert other.rows == whole


def test_members_of_one_pack_have_the_same_token_counts(tiny_corpus: Path) -> None:
    with pytest.raises(ValueError, match="one size and the same token counts"):
        trained(setting(tiny_corpus), member("a", MIXED, 1), member("b", MIXED, 2, tokens=(6400,)))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the compiler
def test_compiled_steps_measure_what_plain_ones_do_and_the_same_bits_again(tiny_corpus: Path) -> None:
    found = []
    for compiled in (False, True, True):
        heard, compute = Heard(), replace(CPU, compiled=compiled)
        PackRun([member("m", MIXED, 2)], setting(tiny_corpus), open_corpus(tiny_corpus), compute, heard).train()
        found.append(losses(heard.rows, "m"))
    plain, first, again = found
    assert first == again
    assert first == pytest.approx(plain, abs=1e-3)
