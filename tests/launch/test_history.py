"""Records of another version are read where that is safe and refused by name where it is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.errors import Refused
from mixlaw.launch.job import numbers
from mixlaw.launch.swarm import train_swarm
from mixlaw.plan import Plan
from mixlaw.train.members import setting_of


def trained(plan: Plan, folder: Path) -> None:
    train_swarm(plan, planned(plan, open_corpus(plan.corpus.path).train_tokens), folder, workers=1)


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the records say of how each run began, as if another version had written them."""
    path = folder / "runs" / "records-1.jsonl"
    lines = []
    for line in path.read_text().splitlines():
        content = json.loads(line)["content"]
        if content["record"] == "member":
            change(content["specification"])
        body = json.dumps(content, sort_keys=True)
        lines.append(f'{{"content": {body}, "crc32": "{crc32(body.encode()):08x}"}}\n')
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda begun: begun.pop("numbers"), "run '.*' without numbers: another version of mixlaw wrote it"),
        (lambda begun: begun.pop("pack"), "run '.*' without pack"),
        (lambda begun: begun["numbers"].pop("member"), "described in another way"),
        (lambda begun: begun["numbers"]["member"].update(colour="blue"), "described in another way"),
    ],
)
def test_records_of_another_form_are_refused_and_kept(
    plan_of: Callable[..., Plan], tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    trained(plan_of(mixtures=2), tmp_path / "study")
    rewritten(tmp_path / "study", change)
    before = (tmp_path / "study" / "runs" / "records-1.jsonl").read_bytes()
    with pytest.raises(Refused, match=said):
        trained(plan_of(mixtures=2), tmp_path / "study")
    assert (tmp_path / "study" / "runs" / "records-1.jsonl").read_bytes() == before


def test_a_key_that_is_newer_than_the_records_changes_no_run_at_its_default(
    plan_of: Callable[..., Plan], tmp_path: Path
) -> None:
    trained(plan_of(mixtures=2), tmp_path / "study")
    rewritten(tmp_path / "study", lambda begun: begun["numbers"]["training"].pop("weight_decay"))
    before = (tmp_path / "study" / "runs" / "records-1.jsonl").read_bytes()
    trained(plan_of(mixtures=2), tmp_path / "study")
    assert (tmp_path / "study" / "runs" / "records-1.jsonl").read_bytes() == before
    rewritten(tmp_path / "study", lambda begun: begun["numbers"]["training"].pop("learning_rate"))
    with pytest.raises(Refused, match=r"training.learning_rate was 0\.003, is 0\.005"):
        trained(plan_of(mixtures=2), tmp_path / "study")


def test_a_record_names_what_determines_a_run_as_earlier_ones_did(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    alike = plan.training.model_copy(update={"compile": False, "shard": True, "precision": "float32"})
    found = numbers(setting_of(plan))
    assert numbers(setting_of(plan.model_copy(update={"training": alike}))) == found
    assert "compiled" not in found
    shared = [
        "arithmetic",
        "available_tokens",
        "bfloat16",
        "corpus_sha256",
        "device",
        "domains",
        "initial_sha256",
        "targets",
        "training",
    ]
    assert sorted(found) == shared
    assert sorted(found["training"]) == [
        *("batch_tokens", "clip", "cooldown", "decay", "evaluation_tokens", "learning_rate", "micro_batches"),
        *("schedule", "sequence_length", "warmup", "weight_decay"),
    ]
