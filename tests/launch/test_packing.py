"""How much is trained at a time."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mixlaw.errors import Refused
from mixlaw.launch import local, packing
from mixlaw.launch_plan import Launch
from mixlaw.plan import Plan, Training


@pytest.mark.parametrize(("said", "share"), [("max 100000", None), ("150000 100000", 1), ("20000 100000", 1)])
def test_a_container_quota_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, share: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(said + "\n")
    monkeypatch.setattr(packing, "QUOTA", tmp_path / "cpu.max")
    assert packing.cores() == (share or len(os.sched_getaffinity(0)))


def test_a_machine_that_says_nothing_of_quotas_has_all_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "QUOTA", tmp_path / "absent")
    assert packing.cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("allowed", "found"), [(None, ["0", "1"]), ("5,7", ["5", "7"]), ("GPU-a,GPU-b", ["GPU-a", "GPU-b"])]
)
def test_worker_processes_share_the_gpus_that_their_parent_may_use(
    monkeypatch: pytest.MonkeyPatch, allowed: str | None, found: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert local.gpus() == found


@pytest.mark.parametrize(
    ("launch", "device", "said"),
    [
        ({"gpus": 1}, "cpu", "launch.gpus is 1 and training.device is 'cpu'"),
        ({}, "cuda", "training.device is 'cuda' and launch.gpus is 0"),
    ],
)
def test_a_plan_that_contradicts_itself_on_gpus_is_refused(
    plan_of: Callable[..., Plan], launch: dict[str, int], device: str, said: str
) -> None:
    plan = plan_of()
    training = plan.training.model_copy(update={"device": device})
    changed = plan.model_copy(update={"launch": Launch(engine="slurm", **launch), "training": training})
    with pytest.raises(Refused, match=said):
        packing.compute_of_workers(changed)


def test_workers_with_gpus_are_planned_where_there_are_none(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of().model_copy(update={"launch": Launch(engine="slurm", gpus=1), "training": Training()})
    found = packing.compute_of_workers(plan)
    assert (found.device.type, found.bfloat16, found.compiled) == ("cuda", True, True)
