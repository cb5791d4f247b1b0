"""Weights & Biases runs on a server, through a stand-in for its client that keeps to the calls we make."""

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log


class Run:
    def __init__(self, name: str, identifier: str, state: str) -> None:
        self.name, self.id, self.state = name, identifier, state
        self.config = {"mix": {"web": 0.75, "code": 0.25}, "params": 1000, "_wandb": {"version": 1}}
        self.group, self.job_type, self.sweep_name = "swarm", None, None
        self.summary_metrics = {"eval/web": 2.25, "eval/code": 1.5, "_runtime": 9}

    def scan_history(self) -> Iterator[dict[str, Any]]:
        yield {"_step": 10, "_timestamp": 1.0, "eval/web": 2.5, "train/loss": None}
        yield {"_step": 20, "_timestamp": 2.0, "eval/web": 2.25}


class Api:
    def __init__(self, timeout: int) -> None:
        assert timeout > 0

    def runs(self, path: str, order: str) -> list[Run]:
        assert path == "team/project" and order == "+created_at"
        return [Run("a", "f00dbeef01", "finished"), Run("a", "deadbeef02", "crashed")]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = types.ModuleType("wandb")
    errors = types.SimpleNamespace(
        CommError=type("CommError", (Exception,), {}), UsageError=type("U", (Exception,), {})
    )
    wandb.__dict__.update(Api=Api, errors=errors)
    monkeypatch.setitem(sys.modules, "wandb", wandb)


@pytest.mark.usefixtures("client")
def test_runs_come_with_every_row_and_their_state() -> None:
    first, second = read_log(("wandb://team/project",)).runs
    assert first.name == "a-f00dbeef" and first.unfinished == "" and second.unfinished == "crashed"
    assert first.settings == {"mix.web": 0.75, "mix.code": 0.25, "params": 1000, "wandb.group": "swarm"}
    assert first.points == ({"step": 10, "eval/web": 2.5}, {"step": 20, "eval/web": 2.25, "eval/code": 1.5})


@pytest.mark.usefixtures("client")
def test_a_name_that_is_no_project_is_refused() -> None:
    with pytest.raises(Refused, match="'wandb://project' is no project"):
        read_log(("wandb://project",))
    assert importer_of(("wandb://team/project",)).name == "wandb"


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(Refused, match="pip install wandb"):
        read_log(("wandb://team/project",))
