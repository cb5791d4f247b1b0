"""Where runs compute, and whether their steps are compiled: as the plan says, or refused."""

import pytest
import torch

from mixlaw.errors import Refused
from mixlaw.plan import Training
from mixlaw.train.device import compute_of


@pytest.mark.parametrize(("asked", "compiled"), [("auto", False), (False, False), (True, True)])
def test_steps_are_compiled_on_a_cpu_only_where_the_plan_says_so(asked: bool, compiled: bool) -> None:
    found = compute_of(Training(device="cpu", compile=asked))
    assert found.device.type == "cpu" and found.compiled is compiled


def test_steps_that_cannot_be_compiled_are_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(Refused, match=r"no g\+\+ or clang\+\+"):
        compute_of(Training(device="cpu", compile=True))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Refused, match="torch finds no GPU"):
        compute_of(Training(device="cuda"))
