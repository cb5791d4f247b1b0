"""A worker process: reads jobs from stdin, one a line, trains them, and tells on stdout how it goes.

    python -m mixlaw.launch.worker RECORDS

Everything measured goes to the worker's own record file before it is told; stdout carries only progress and the end of
each job. When stdin closes, because the parent is done or was killed, the worker ends at once.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from queue import Queue
from typing import Any

from mixlaw.errors import Refused
from mixlaw.launch.job import Job, do
from mixlaw.train.records import Writer

TELL_EVERY_S = 0.5


def main() -> None:
    """Serve jobs until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what to do
    jobs: Queue[str] = Queue()
    threading.Thread(target=_receive, args=(jobs,), daemon=True).start()
    try:
        writer = Writer(Path(sys.argv[1]))
    except Refused as error:
        _tell({"refused": str(error)})
        return
    while True:
        _serve(Job.from_json(json.loads(jobs.get())), writer)


def _serve(job: Job, writer: Writer) -> None:
    progress = _Progress()
    try:
        do(job, writer, progress.trained)
    except Refused as error:
        _tell({"refused": str(error)})
    except Exception as error:  # told to the parent, which records it and goes on with other jobs
        _tell({"crashed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})
    else:
        progress.tell()
        _tell({"done": job.name})


class _Progress:
    """Tokens trained on, told now and then."""

    def __init__(self) -> None:
        self.tokens, self.told = 0, time.monotonic()

    def trained(self, tokens: int) -> None:
        self.tokens += tokens
        if time.monotonic() - self.told > TELL_EVERY_S:
            self.tell()

    def tell(self) -> None:
        _tell({"tokens": self.tokens})
        self.tokens, self.told = 0, time.monotonic()


def _receive(jobs: "Queue[str]") -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def _tell(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main()
