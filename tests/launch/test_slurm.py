"""A swarm on a real Slurm of two nodes, one of which is lost; `make test-slurm` brings it up on this machine."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.launch.queue import Claim, Queue
from mixlaw.launch.slurm import submitted
from mixlaw.launch.swarm import train_swarm
from mixlaw.launch_plan import Launch, SlurmOptions
from mixlaw.mixture import Mixture
from mixlaw.plan import Plan
from mixlaw.train.records import read_records

pytestmark = pytest.mark.slurm
SCRIPT = Path(__file__).with_name("two_nodes.sh")
LAUNCH = """
import sys
from mixlaw.cli.app import main
sys.argv = ["mixlaw", "train", sys.argv[1], "--launch", "slurm", "--workers", "2"]
main()
"""


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for first in range(26800, 30000, count):
        with ExitStack() as sockets:
            try:
                for port in range(first, first + count):
                    sockets.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise AssertionError("no ports are free")


def environment_of(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/environ").read_text(errors="replace").split("\0")
    except OSError:  # it has ended, or is another user's
        return []


def processes(configuration: Path) -> list[int]:
    """What runs under a Slurm configuration, daemons and jobs alike; the first to start first."""
    numbers = sorted(int(path.name) for path in Path("/proc").glob("[0-9]*"))
    here = f"SLURM_CONF={configuration}"
    return [number for number in numbers if number != os.getpid() and here in environment_of(number)]


def node_of(process: int) -> str:
    name = "SLURMD_NODENAME="
    return next((entry.removeprefix(name) for entry in environment_of(process) if entry.startswith(name)), "")


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])


def kill_node(configuration: Path, node: str) -> None:
    """End everything on a node at once, as a power cut does: its daemon, the steps it manages, and their tasks."""
    assert node
    everything = processes(configuration)
    own = {process for process in everything if node_of(process) == node}
    own |= {parent_of(process) for process in own} & set(everything)
    for order in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none tells of another's end
        for process in own:
            os.kill(process, order)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """Two nodes that are up; the folder of their configuration. All their processes are ended."""
    if "MIXLAW_SLURM" not in os.environ:
        pytest.skip("there is no Slurm to bring up; make test-slurm unpacks one")
    root = Path(os.environ["MIXLAW_SLURM"]).resolve()
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        before = dict(os.environ)
        try:
            subprocess.run([SCRIPT, "start", root, folder, str(free_ports(3))], check=True)
            lines = (Path(folder) / "environment").read_text().splitlines()
            os.environ.update(line.split("=", 1) for line in lines)
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)
            for process in processes(Path(folder) / "slurm.conf"):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.5)


@pytest.fixture
def plan(plan_of: Callable[..., Plan]) -> Plan:
    """Five runs of some seconds each, for two workers."""
    plan = plan_of(mixtures=4, last=64000)
    slurm = SlurmOptions(time_limit_minutes=5)
    return plan.model_copy(update={"launch": Launch(engine="slurm", workers=2, slurm=slurm)})


def mixtures_of(plan: Plan) -> dict[str, Mixture]:
    return planned(plan, open_corpus(plan.path(plan.corpus.path)).train_tokens)


def table_of_one_process(plan: Plan, folder: Path) -> bytes:
    local = plan.model_copy(update={"launch": Launch()})
    train_swarm(local, mixtures_of(plan), folder, workers=1)
    return (folder / "runs.csv").read_bytes()


def wait_for(condition: Callable[[], object], timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@contextmanager
def command_of(plan: Plan) -> Iterator["subprocess.Popen[bytes]"]:
    """`mixlaw train` under way in a process of its own, which does not outlive the block."""
    command = subprocess.Popen([sys.executable, "-c", LAUNCH, str(plan.folder)], stdout=subprocess.DEVNULL)
    try:
        yield command
    finally:
        command.kill()
        command.wait()


def in_training(queue: Queue) -> list[Claim]:
    return [claim for claim in queue.claims().values() if claim.state == "training" and claim.tokens]


def test_workers_that_reach_their_time_limit_are_queued_again_and_go_on(
    plan: Plan, cluster: Path, tmp_path: Path
) -> None:
    expected = table_of_one_process(plan, tmp_path / "whole")
    queue = Queue(plan.folder / "runs")
    with command_of(plan) as command:
        wait_for(lambda: len({claim.worker for claim in in_training(queue)}) == 2)
        workers = {claim.worker for claim in in_training(queue)}
        for worker in workers:  # what Slurm sends before the end of the time limit
            subprocess.run(["scancel", "--signal=USR2", worker], check=True)
        assert command.wait(timeout=90) == 0
    assert (plan.folder / "runs.csv").read_bytes() == expected
    assert {f"records-slurm-{worker}-1.jsonl" for worker in workers} <= {path.name for path in queue.runs.iterdir()}


def test_a_lost_node_and_a_killed_command_cost_no_row_and_change_none(
    plan: Plan, cluster: Path, tmp_path: Path
) -> None:
    expected = table_of_one_process(plan, tmp_path / "whole")
    queue = Queue(plan.folder / "runs")
    with command_of(plan):
        wait_for(lambda: len({claim.worker for claim in in_training(queue)}) == 2)
    victim = in_training(queue)[0]
    kill_node(cluster / "slurm.conf", node_of(victim.process))
    acknowledged = read_records(queue.runs).rows
    table = train_swarm(plan, mixtures_of(plan), plan.folder)
    assert (plan.folder / "runs.csv").read_bytes() == expected
    assert not table.notes
    rows = read_records(queue.runs).rows
    assert all(rows[run][tokens] == row for run, found in acknowledged.items() for tokens, row in found.items())
    names = {path.name for path in queue.runs.glob("records-slurm-*")}
    assert f"records-slurm-{victim.worker}-1.jsonl" in names, "Slurm started the lost worker again"
    assert len({name.split("_")[0] for name in names}) == 1, "the second command joined the workers of the first"
    assert not submitted(queue)
