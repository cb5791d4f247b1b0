"""Workers as jobs of a Slurm cluster, submitted through submitit.

All workers are tasks of job arrays. A task that reaches its time limit is queued again by submitit, one whose node is
lost by Slurm, and both take up the runs they had. submitit pickles what it submits, a path and a number, and reads
nothing back here: what is asked of Slurm is only which tasks it still knows.
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.files import read_json, write_json
from mixlaw.launch.queue import Queue
from mixlaw.launch.worker import work
from mixlaw.launch_plan import Launch

POLL_S = 2.0
SILENCE_S = 600.0
"""How long Slurm may fail to answer before that is told."""

MAX_TIMEOUTS = 1000
"""Time limits that a worker may reach, which is what they are for."""

ARRAYS = "slurm.json"
"""In the queue's folder: the jobs that were submitted."""


class Slurm:
    """Workers that Slurm runs, as many as it has room for.

    Args:
        queue: of the study.
        launch: of the plan.
    """

    def __init__(self, queue: Queue, launch: Launch) -> None:
        if launch.workers is None:
            raise Refused("Slurm is to start workers, and nothing says how many; give --workers, or launch.workers")
        self.queue, self.launch, self.workers = queue, launch, launch.workers
        self.logs = queue.runs / "slurm"
        self._asked_s, self._tasks = 0.0, set[str]()

    def attach(self) -> Sequence[str]:
        """Tasks of jobs that an earlier command submitted and that Slurm still knows."""
        return living(self.queue)

    def start(self, count: int) -> Sequence[str]:
        """Submit an array of so many workers."""
        executor = self._executor()
        try:
            tasks = [str(job.job_id) for job in executor.map_array(Task(str(self.queue.runs)), range(count))]
        except RuntimeError as error:
            raise Refused(f"Slurm took no workers: {error}; correct [launch] in the plan") from None
        write_json(
            self.queue.folder / ARRAYS, sorted({*submitted(self.queue), *(task.split("_")[0] for task in tasks)})
        )
        self._asked_s = time.monotonic()
        self._tasks |= set(tasks)
        return tasks

    def ended(self, workers: Sequence[str]) -> Mapping[str, str]:
        """Tasks that Slurm no longer has, with the last line of their logs."""
        if time.monotonic() - self._asked_s >= POLL_S:
            try:
                self._tasks = set(_known(submitted(self.queue)))
            except SlurmSilent as error:
                if time.monotonic() - self._asked_s > SILENCE_S:
                    raise Refused(f"{error}; run the same command again when Slurm answers") from None
                return {}
            self._asked_s = time.monotonic()
        return {task: self._last_words(task) for task in workers if task not in self._tasks}

    def wait(self, look: Callable[[], None]) -> None:
        """Sleep."""
        time.sleep(POLL_S)

    def leave(self) -> None:
        """Nothing: the workers go on, and the next command finds them."""

    def stop(self) -> None:
        """Cancel what still waits for a place on the cluster."""
        for job in submitted(self.queue):
            subprocess.run(["scancel", job], check=False, capture_output=True)

    def _executor(self) -> Any:
        try:
            import submitit
        except ModuleNotFoundError:
            raise Refused("submitit is not installed; Slurm needs it: pip install 'mixlaw[slurm]'") from None
        try:
            executor = submitit.SlurmExecutor(self.logs, max_num_timeout=MAX_TIMEOUTS)
        except RuntimeError as error:
            raise Refused(f"{error} run this where sbatch and squeue are") from None
        options, launch = self.launch.slurm, self.launch
        named = {"partition": options.partition, "account": options.account, "gpus_per_node": launch.gpus}
        memory = {"mem": f"{round(launch.memory_gb * 1024)}M"} if launch.memory_gb else {}
        executor.update_parameters(
            job_name="mixlaw",
            time=options.time_limit_minutes,
            cpus_per_task=launch.cpus,
            array_parallelism=self.workers,
            setup=list(options.setup),
            additional_parameters={**options.options, "requeue": True},
            **{name: value for name, value in {**named, **memory}.items() if value},
        )
        return executor

    def _last_words(self, task: str) -> str:
        logs = sorted(self.logs.glob(f"{task}_*.err"))
        lines = logs[-1].read_text(encoding="utf-8", errors="replace").strip().splitlines() if logs else []
        told = f"; the end of its log: {lines[-1]}" if lines else ""
        return f"is gone from Slurm, task {task} (see {logs[-1] if logs else self.logs}){told}"


class Task:
    """What a Slurm task runs: a worker, called by its task's name, however often Slurm starts it.

    Args:
        runs: the study's folder of records, which every node sees under the same path.
    """

    def __init__(self, runs: str) -> None:
        self.runs = runs

    def __call__(self, number: int) -> None:
        """Work; each start has a record file of its own: the node of an earlier one may be out of reach, not dead."""
        environment = os.environ
        array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
        name = f"{array}_{task}" if array else environment["SLURM_JOB_ID"]
        work(Path(self.runs), name, f"slurm-{name}-{environment.get('SLURM_RESTART_COUNT', '0')}")

    def checkpoint(self, number: int) -> Any:
        """Near its time limit: be queued again. Everything measured is on disk, full runs save their own state."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)


class SlurmSilent(Exception):
    """Slurm did not answer, so nobody knows who is at work."""


def submitted(queue: Queue) -> list[str]:
    """The jobs that were submitted for a study and not yet seen to their end."""
    path = queue.folder / ARRAYS
    return [str(job) for job in read_json(path)] if path.is_file() else []


def living(queue: Queue) -> list[str]:
    """Tasks of a study that Slurm still knows, waiting or at work.

    Raises:
        Refused: if there may be some and Slurm cannot be asked.
    """
    try:
        return _known(submitted(queue))
    except SlurmSilent as error:
        raise Refused(
            f"workers of a Slurm cluster may be at work in {queue.runs} and cannot be asked for: {error}; run this "
            f"where Slurm answers, or delete {queue.folder / ARRAYS} if they are gone"
        ) from None


def _known(jobs: Sequence[str]) -> list[str]:
    """Every task of these jobs that is waiting or at work; all jobs of the user are listed, as old ids are errors."""
    if not jobs:
        return []
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmSilent(f"squeue: {error}") from None
    if answer.returncode:
        raise SlurmSilent(f"squeue: {answer.stderr.strip()}")
    return [task for task in answer.stdout.split() if task.split("_")[0] in jobs]
