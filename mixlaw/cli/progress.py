"""How far a training is: a bar on a terminal, a line now and then in a file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mixlaw.launch.progress import Progress as Moment
from mixlaw.launch.progress import Watch
from mixlaw.wording import counted, in_words

EVERY_S = 30.0
"""Between lines in a file."""


@contextmanager
def shown(console: Console) -> Iterator[Callable[[str], Watch]]:
    """Yield a function from what is trained, in words, to a watch that shows how far it is."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[pace]}")
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def watching(what: str) -> Watch:
            task = bars.add_task(what, total=None, pace="")
            if not console.is_terminal:
                console.print(what)
            told = time.monotonic()

            def watch(moment: Moment) -> None:
                nonlocal told
                bars.update(task, total=moment.tokens, completed=moment.trained_tokens, pace=_pace(moment))
                over = moment.done + moment.failed == moment.runs
                if not console.is_terminal and (over or time.monotonic() - told > EVERY_S):
                    told = time.monotonic()
                    console.print(f"  {_pace(moment)}")

            return watch

        yield watching


def _pace(moment: Moment) -> str:
    parts = [f"{moment.done} of {counted(moment.runs, 'run')}"]
    if moment.failed:
        parts.append(f"{moment.failed} failed")
    if moment.tokens_per_s:
        parts.append(f"{in_words(moment.tokens_per_s)} tokens/s")
    if moment.left_s is not None and moment.done + moment.failed < moment.runs:
        parts.append(f"{minutes(moment.left_s)} left")
    return ", ".join(parts)


def minutes(seconds: float) -> str:
    """A time as people say it."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
