"""The other processes of `torchrun`: they train whatever the first one trains, and do nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from mixlaw.errors import Refused
from mixlaw.launch.job import follow
from mixlaw.launch_plan import Launch
from mixlaw.train.processes import Processes, together


@contextmanager
def leading() -> Iterator[bool]:
    """Yield whether this process leads; one that does not has followed to the end by then. Of several, all end here.

    The first of several processes reads, decides, trains and writes as one that is alone; the others hear of each run
    when it begins, and share its batches.
    """
    processes = together()
    if processes.first:
        try:
            yield True
        finally:
            processes.told(None)
            processes.meet()
    else:
        follow(processes)
        processes.meet()
        yield False
    processes.part()


def alone_or_together(launch: Launch) -> Launch:
    """The launch of a command: under `torchrun`, one run at a time, by all processes.

    Raises:
        Refused: if it asks for several runs at a time, or another engine, under `torchrun`.
    """
    processes: Processes = together()
    if processes.count == 1:
        return launch
    if launch.engine != "local" or (launch.workers or 1) > 1:
        raise Refused(
            f"torchrun started {processes.count} processes, which train one run at a time; leave launch.engine and "
            "launch.workers out, or start mixlaw without torchrun"
        )
    return launch.model_copy(update={"workers": 1})
