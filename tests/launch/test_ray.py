"""A swarm on a real Ray cluster of two nodes, one of which is lost; `make test-ray` runs it."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.errors import Refused
from mixlaw.launch.engines import engine_of
from mixlaw.launch.queue import Claim, Queue
from mixlaw.launch.swarm import train_swarm
from mixlaw.launch_plan import Launch, RayOptions
from mixlaw.mixture import Mixture
from mixlaw.plan import Plan
from mixlaw.runs import RunTable
from mixlaw.train.records import read_records

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with one CPU for workers each; the head has none. All their processes are ended."""
    pytest.importorskip("ray", reason="ray is not installed; make test-ray installs it")
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0"}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        cluster.connect()
        yield cluster
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def plan(plan_of: Callable[..., Plan]) -> Plan:
    """Five runs of some seconds each."""
    return plan_of(mixtures=4, last=64000).model_copy(update={"launch": Launch(engine="ray")})


def mixtures_of(plan: Plan) -> dict[str, Mixture]:
    return planned(plan, open_corpus(plan.path(plan.corpus.path)).train_tokens)


def in_training(queue: Queue) -> list[Claim]:
    return [claim for claim in queue.claims().values() if claim.state == "training" and claim.tokens]


def wait_for(condition: Callable[[], object], working: Thread) -> None:
    while not condition():
        assert working.is_alive(), "it was over too soon"
        working.join(timeout=0.05)


def test_a_killed_worker_and_a_lost_node_cost_no_row_and_change_none(plan: Plan, cluster: Any, tmp_path: Path) -> None:
    local = plan.model_copy(update={"launch": Launch()})
    train_swarm(local, mixtures_of(plan), tmp_path / "whole", workers=1)
    queue, tables = Queue(plan.folder / "runs"), list[RunTable]()
    working = Thread(target=lambda: tables.append(train_swarm(plan, mixtures_of(plan), plan.folder)))
    working.start()
    wait_for(lambda: len(in_training(queue)) == 2, working)
    killed = in_training(queue)[0]
    os.kill(killed.process, signal.SIGKILL)
    wait_for(lambda: len([claim for claim in in_training(queue) if claim.worker != killed.worker]) == 2, working)
    cluster.remove_node(next(node for node in cluster.worker_nodes), allow_graceful=False)
    working.join(timeout=120)
    assert len(tables) == 1 and not tables[0].notes
    assert (plan.folder / "runs.csv").read_bytes() == (tmp_path / "whole" / "runs.csv").read_bytes()
    begun = sum(path.read_text().count('"record": "member"') for path in queue.runs.glob("records-ray-*"))
    assert begun == 5 + 2, "what the killed worker and the lost node had was begun again"
    assert not read_records(queue.runs).failed


def test_a_cluster_without_what_a_worker_needs_is_refused(plan: Plan, cluster: Any) -> None:
    queue = Queue(plan.folder / "runs")
    with pytest.raises(Refused, match=r"0 GPUs, and a worker needs 1 and 1; lower launch\.cpus or launch\.gpus"):
        engine_of(Launch(engine="ray", gpus=1), queue, 1, 1)


def test_a_cluster_that_is_not_there_is_refused(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray is not installed; make test-ray installs it")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(Refused, match=r"no Ray cluster answers at '127\.0\.0\.1:1'"):
        engine_of(Launch(engine="ray", ray=RayOptions(address="127.0.0.1:1")), Queue(plan.folder / "runs"), 1, 1)
