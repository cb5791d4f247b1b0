"""Workers on a Ray cluster that is already there: one long task a device, which takes the runs that wait.

Ray decides where a task runs and tells when its process or its node is lost; it is not asked to retry, as a worker that
is gone is replaced by one of another name. Tasks end with the command that started them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.launch.queue import Queue
from mixlaw.launch.worker import work
from mixlaw.launch_plan import Launch

POLL_S = 1.0


class Ray:
    """Workers as tasks of Ray.

    Args:
        queue: of the study.
        launch: of the plan.

    Raises:
        Refused: if there is no such cluster, or none of its machines has what a worker needs.
    """

    def __init__(self, queue: Queue, launch: Launch) -> None:
        self.queue, self.launch = queue, launch
        self.ray = _connected(launch.ray.address)
        self.workers = launch.workers or self._room()
        self._tasks: dict[str, Any] = {}
        self._started = 0

    def attach(self) -> Sequence[str]:
        """None: tasks end with the command that started them."""
        return ()

    def start(self, count: int) -> Sequence[str]:
        """Ask for so many tasks; they wait where the cluster has no room."""
        need: dict[str, Any] = {"num_cpus": self.launch.cpus, "num_gpus": self.launch.gpus}
        if self.launch.memory_gb:
            need["memory"] = int(self.launch.memory_gb * 2**30)
        task = self.ray.remote(work).options(**need, max_retries=0, scheduling_strategy="SPREAD", name="mixlaw")
        session = self.ray.get_runtime_context().get_job_id()
        names = [f"ray-{session}-{self._started + number}" for number in range(1, count + 1)]
        self._started += count
        self._tasks |= {name: task.remote(Path(self.queue.runs), name) for name in names}
        return names

    def ended(self, workers: Sequence[str]) -> Mapping[str, str]:
        """Tasks that are over, with what Ray says of those that failed."""
        tasks = {self._tasks[name]: name for name in workers}
        if not tasks:
            return {}
        over, _ = self.ray.wait(list(tasks), num_returns=len(tasks), timeout=0)
        return {tasks[task]: self._how(task) for task in over}

    def wait(self, look: Callable[[], None]) -> None:
        """Let Ray wait."""
        self.ray.wait(list(self._tasks.values()), num_returns=len(self._tasks), timeout=POLL_S)

    def leave(self) -> None:
        """End every task."""
        for task in self._tasks.values():
            self.ray.cancel(task, force=True)
        self._tasks.clear()

    def stop(self) -> None:
        """End every task: those still there found nothing to do."""
        self.leave()

    def _room(self) -> int:
        """Workers that the cluster has room for."""
        has, launch = self.ray.cluster_resources(), self.launch
        room = int(has.get("CPU", 0) // launch.cpus)
        if launch.gpus:
            room = min(room, int(has.get("GPU", 0) // launch.gpus))
        if not room:
            raise Refused(
                f"the Ray cluster has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs, and a worker needs "
                f"{launch.cpus} and {launch.gpus}; lower launch.cpus or launch.gpus"
            )
        return room

    def _how(self, task: Any) -> str:
        try:
            self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            return f"was lost: {str(error).strip().splitlines()[0]} ({type(error).__name__})"
        except Refused as error:
            return f"refused: {error}"
        return "ended"


def _connected(address: str) -> Any:
    """Ray, connected to a cluster that is there; a program that is connected already stays so."""
    try:
        import ray
    except ModuleNotFoundError:
        raise Refused("ray is not installed; a Ray cluster needs it: pip install 'mixlaw[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise Refused(f"no Ray cluster answers at '{address}': {error}; start one with: ray start --head") from None
    return ray
