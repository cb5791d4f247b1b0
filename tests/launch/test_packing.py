"""How much is trained at a time."""

import os
from pathlib import Path

import pytest

from mixlaw.launch import packing


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
