"""Workers of this machine: this process, or processes of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from mixlaw.launch.queue import Queue
from mixlaw.launch.worker import Worker

POLL_S = 0.2


class InProcess:
    """One worker, in this process: nothing has to be started.

    Args:
        queue: of the study.
    """

    workers = 1

    def __init__(self, queue: Queue) -> None:
        self.queue, self.asked = queue, False

    def attach(self) -> Sequence[str]:
        """None: a worker ends with its process."""
        return ()

    def start(self, count: int) -> Sequence[str]:
        """Work in the next `wait`."""
        self.asked = True
        return ["1"]

    def ended(self, workers: Sequence[str]) -> Mapping[str, str]:
        """The worker, when nothing was left for it."""
        return {} if self.asked else dict.fromkeys(workers, "ended")

    def wait(self, look: Callable[[], None]) -> None:
        """Work."""
        worker = Worker(self.queue, "1", look)
        try:
            worker.serve()
        finally:
            worker.close()
        self.asked = False

    def leave(self) -> None:
        """Nothing is to be ended."""

    def stop(self) -> None:
        """Nothing is to be ended."""


class Local:
    """Worker processes, each on a GPU of its own where there are GPUs.

    Args:
        queue: of the study.
        workers: at a time.
        threads: of the CPU, that one worker's runs have at most.
    """

    def __init__(self, queue: Queue, workers: int, threads: int) -> None:
        self.queue, self.workers, self.threads = queue, workers, threads
        self.devices = gpus()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def attach(self) -> Sequence[str]:
        """None: workers end with the process that started them."""
        return ()

    def start(self, count: int) -> Sequence[str]:
        """Start processes under the first names that no process has."""
        free = [str(number) for number in range(1, self.workers + 1) if str(number) not in self._processes][:count]
        for name in free:
            self._processes[name] = self._started(name)
        return free

    def ended(self, workers: Sequence[str]) -> Mapping[str, str]:
        """Processes that have exited, and how."""
        gone = {name: self._processes[name].returncode for name in workers if self._processes[name].poll() is not None}
        for name in gone:
            _close(self._processes.pop(name))
        return {name: f"{_how(code)} (see {self._log(name)})" for name, code in gone.items()}

    def wait(self, look: Callable[[], None]) -> None:
        """Sleep."""
        time.sleep(POLL_S)

    def leave(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
            _close(process)
        self._processes.clear()

    def stop(self) -> None:
        """End every process: those still here found nothing to do."""
        self.leave()

    def _log(self, name: str) -> Path:
        return self.queue.runs / f"worker-{name}.log"

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = self.devices[(int(name) - 1) % len(self.devices)]
        command = [sys.executable, "-m", "mixlaw.launch.worker", str(self.queue.runs), name]
        with self._log(name).open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    allowed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = torch.cuda.device_count()
    return allowed[:count] if allowed else [str(number) for number in range(count)]


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _close(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):  # what was still to be sent to a process that is gone
        if process.stdin is not None:
            process.stdin.close()
