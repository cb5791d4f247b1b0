"""The state of a pack half way, so that a long run goes on where it was killed."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mixlaw.files import replacing

EVERY_S = 120.0
"""Seconds between checkpoints: what a kill costs at most."""

FORM = "weights, moments and averages, each as two buffers"
"""What a file holds; part of its key, so that files of another form are not resumed."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds.

    Attributes:
        step: that it was saved after.
        tensors: by name.
        notes: all that is no tensor, such as where in the data a run is and the state of its online method.
    """

    step: int
    tensors: dict[str, Tensor]
    notes: dict[str, Any]


class Checkpoint:
    """One file that is replaced whole every few minutes and deleted at the end.

    A resumed run ends with the same bits as one that was never stopped: the state is complete, and what is read next
    follows from the step alone.

    Args:
        path: of the file, `.safetensors`.
        specification: what determines the pack's numbers; a state saved under another is not resumed.
        every_s: seconds between saves.
    """

    def __init__(self, path: Path, specification: object, every_s: float = EVERY_S) -> None:
        self.path, self.every_s = path, every_s
        text = json.dumps([FORM, specification], sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._last >= self.every_s

    def save(self, step: int, state: dict[str, Tensor], notes: Mapping[str, Any]) -> None:
        """Keep the state after `step`, in place of the one before; `notes` are JSON."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        with replacing(self.path) as temporary:
            save_file(tensors, temporary, metadata={"key": self.key, "step": str(step), "notes": json.dumps(notes)})
        self._last = time.monotonic()

    def load(self) -> Saved | None:
        """What was kept last, on the CPU; None if there is nothing of this specification."""
        if not self.path.is_file():
            return None
        with safe_open(self.path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != self.key or "notes" not in metadata:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Saved(int(metadata["step"]), tensors, json.loads(metadata["notes"]))

    def forget(self) -> None:
        """Delete the file, and what a kill in the middle of a save has left: the pack is done."""
        self.path.unlink(missing_ok=True)
        for torn in self.path.parent.glob(f".{self.path.stem}.*{self.path.suffix}"):
            torn.unlink(missing_ok=True)
