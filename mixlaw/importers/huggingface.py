"""Hugging Face Trainer: `trainer_state.json` of a run's last checkpoint."""

from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.importers.base import STEP, Importer, Log, LoggedRun, Reading, folder_names, merge_steps
from mixlaw.importers.logged_json import read_logged_json
from mixlaw.wording import logged_again

STATE = "trainer_state.json"
RULES = ("loss.*=eval_*_loss", "lr=learning_rate", "tokens=num_input_tokens_seen")
"""With several evaluation sets the Trainer logs `eval_<name>_loss`, a mean cross-entropy in nats per token."""


def read(sources: tuple[str, ...], reading: Reading) -> Log:
    """Each run is a folder whose checkpoints, or which itself, hold a state; the state of most steps is read.

    Losses of evaluation sets become targets by themselves. The Trainer knows no mixture, so `--runs` must say it, and
    it counts tokens only with `include_num_input_tokens_seen`.
    """
    states: dict[Path, Path] = {}
    steps: dict[Path, int] = {}
    for file in sorted({file for source in sources for file in _files(Path(source))}):
        folder = file.parent.parent if file.parent.name.startswith("checkpoint-") else file.parent
        reached = _content(file)["global_step"]
        if reached >= steps.get(folder, -1):
            states[folder], steps[folder] = file, reached
    roots = [Path(source) for source in sources]
    runs, notes = [], []
    folders = sorted(states)
    for folder, name in zip(folders, folder_names(folders, roots), strict=True):
        content = _content(states[folder])
        points, replaced = merge_steps(_point(entry) for entry in content["log_history"] if STEP in entry)
        if replaced:
            notes.append(f"{name}: {logged_again(replaced)}")
        planned = content.get("max_steps") or 0
        unfinished = f"stopped at step {steps[folder]} of {planned}" if steps[folder] < planned else ""
        runs.append(LoggedRun(name, points, {}, unfinished))
    return Log(", ".join(sources), tuple(runs), RULES, tuple(notes))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob(STATE))


def _content(file: Path) -> dict[str, Any]:
    content = read_logged_json(file)
    history = content.get("log_history") if isinstance(content, dict) else None
    if not (isinstance(history, list) and isinstance(content.get("global_step"), int)):
        raise Refused(f"{file} is no state of a Hugging Face Trainer: it has no log_history and global_step")
    if not all(isinstance(entry, dict) and isinstance(entry.get(STEP, 0), int) for entry in history):
        raise Refused(f"{file}: an entry of log_history is no object with a step; was the file changed by hand?")
    return dict(content)


def _point(entry: dict[str, Any]) -> dict[str, Any]:
    """A row of the history; the Trainer writes 0 tokens seen when it does not count them."""
    return {name: value for name, value in entry.items() if not (name == "num_input_tokens_seen" and not value)}


IMPORTER = Importer(
    name="huggingface",
    description="Hugging Face Trainer (folders with trainer_state.json)",
    recognises=lambda path: bool(_files(path)) if path.is_dir() else path.name == STATE,
    read=read,
)
