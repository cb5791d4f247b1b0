"""A study of a few small runs that is trained in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixlaw.plan import Plan, read_plan

PLAN = """
name = "small"
[corpus]
path = "{corpus}"
available_tokens = {{ marks = 4000 }}
[design]
mixtures = {mixtures}
repeats = 1
[training]
sequence_length = 32
batch_tokens = {batch}
learning_rate = {rate}
evaluation_tokens = 256
device = "cpu"
[proxies]
sizes = [{sizes}]
tokens = [{first}, {last}]
[target]
size = "0.05M"
tokens = {target}
seeds = 2
[weights]
prose = 2
"""


@pytest.fixture
def plan_of(tiny_corpus: Path, tmp_path: Path) -> Callable[..., Plan]:
    """Writes a plan into a folder of its own, and reads it."""

    def make(**changes: Any) -> Plan:
        numbers = {"mixtures": 3, "batch": 128, "rate": 5e-3, "sizes": '"0.03M"', "first": 640, "last": 1280}
        path = tmp_path / "plan.toml"
        path.write_text(PLAN.format(corpus=tiny_corpus, **{**numbers, "target": 2560, **changes}))
        return read_plan(path)

    return make
