"""Logs written by hand, byte by byte, and the run table that every one of them must give."""

import json
import struct
from collections.abc import Callable, Iterable

import pytest

Field = tuple[int, int | float | str | bytes]


@pytest.fixture
def message() -> Callable[[Iterable[Field]], bytes]:
    """Encodes a Protocol Buffers message: integers as varints, floats as 64 bits, text and bytes with their length."""

    def encode(fields: Iterable[Field]) -> bytes:
        return b"".join(field(number, value) for number, value in fields)

    def field(number: int, value: int | float | str | bytes) -> bytes:
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        if isinstance(value, float):
            return varint(number << 3 | 1) + struct.pack("<d", value)
        content = value.encode() if isinstance(value, str) else value
        return varint(number << 3 | 2) + varint(len(content)) + content

    def varint(value: int) -> bytes:
        value &= (1 << 64) - 1
        content = b""
        while value >= 0x80:
            content += bytes([value & 0x7F | 0x80])
            value >>= 7
        return content + bytes([value])

    return encode


@pytest.fixture
def mixtures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A `--runs` file for the runs `a` and `b`."""
    file = tmp_path_factory.mktemp("given") / "mixtures.csv"
    file.write_text("run,code,mix.web,params\na,0.25,0.75,1000000\nb,0.5,0.5,1000000\n")
    return str(file)


@pytest.fixture
def state() -> Callable[..., str]:
    """A `trainer_state.json` as the Hugging Face Trainer writes it, with two evaluation sets."""

    def make(reached: int, planned: int, web: float = 2.5) -> str:
        history = [
            {"epoch": 0.1, "grad_norm": 1.0, "learning_rate": 1e-3, "loss": 3.0, "step": 10},
            {"epoch": 0.1, "eval_web_loss": web, "eval_web_runtime": 0.1, "step": 10},
            {"epoch": 0.1, "eval_code_loss": 1.5, "eval_code_runtime": 0.1, "step": 10},
        ]
        content = {"global_step": reached, "max_steps": planned, "log_history": history, "num_input_tokens_seen": 0}
        return json.dumps(content)

    return make
