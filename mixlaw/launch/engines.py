"""The engine that a plan asks for."""

from mixlaw.errors import Refused
from mixlaw.launch import slurm
from mixlaw.launch.local import InProcess, Local
from mixlaw.launch.queue import Queue
from mixlaw.launch.ray import Ray
from mixlaw.launch.slurm import Slurm
from mixlaw.launch.supervise import Engine
from mixlaw.launch_plan import Launch


def engine_of(launch: Launch, queue: Queue, workers: int, threads: int, *, in_process: bool = True) -> Engine:
    """The engine of a launch.

    Args:
        launch: of the plan.
        queue: of the study.
        workers: of this machine, at a time.
        threads: of the CPU, that a run on this machine has at most.
        in_process: whether one worker of this machine is this process.

    Raises:
        Refused: if an engine is not there, or workers that another engine started are still at work.
    """
    if launch.engine == "slurm":
        return Slurm(queue, launch)
    others = slurm.living(queue)
    if others:
        raise Refused(
            f"{len(others)} Slurm tasks are at work in {queue.runs} ({', '.join(others[:3])}); join them with --launch "
            f"slurm, or end them with scancel"
        )
    if launch.engine == "ray":
        return Ray(queue, launch)
    return InProcess(queue) if workers == 1 and in_process else Local(queue, workers, threads)
