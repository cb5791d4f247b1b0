"""Hugging Face `datasets` itself reads and draws our output."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixlaw.export import export
from mixlaw.export.huggingface import LOADER

datasets = pytest.importorskip("datasets")
LENGTHS = {"code": 40, "web": 10, "books": 200}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows of each domain as JSON lines; each row tells its domain and its tokens."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for domain, tokens in LENGTHS.items():
        lines = [json.dumps({"domain": domain, "tokens": tokens}) for _ in range(4000)]
        (tmp_path / f"{domain}.jsonl").write_text("\n".join(lines))
    return tmp_path


def drawn(folder: Path, text: str, rows: int) -> dict[str, float]:
    """Shares of tokens among the first rows, drawn by the loader that the exporter documents."""
    file = folder / "mixture.json"
    file.write_text(text)
    scope: dict[str, object] = {}
    exec(LOADER.replace("FILE", str(file)), scope)
    read = dict.fromkeys(LENGTHS, 0)
    for row in scope["train"].take(rows):  # type: ignore[attr-defined]
        read[row["domain"]] += row["tokens"]
    return {domain: tokens / sum(read.values()) for domain, tokens in read.items()}


def test_rows_drawn_by_the_documented_loader_have_the_tokens_of_the_mixture(folder: Path) -> None:
    mixture = {"code": 0.5, "web": 0.3, "books": 0.2}
    text = export(
        mixture,
        "huggingface",
        paths={domain: str(folder / f"{domain}.jsonl") for domain in mixture},
        available={domain: {"tokens": 4000 * tokens, "documents": 4000} for domain, tokens in LENGTHS.items()},
    )
    rows = 1500
    shares = drawn(folder, text, rows)
    # Rows are drawn at random; for a share p of tokens the error is about sqrt(p (1 - p) L / mean L / rows).
    mean_length = sum(source["probability"] * LENGTHS[source["domain"]] for source in json.loads(text)["sources"])
    for domain, share in mixture.items():
        spread = np.sqrt(share * (1 - share) * LENGTHS[domain] / mean_length / rows)
        assert abs(shares[domain] - share) < 4 * spread
    assert shares["books"] < 0.4, "copying proportions as probabilities would read 40/63 books"


def test_probabilities_are_precise_enough_for_its_check_of_their_sum(folder: Path) -> None:
    parts = [datasets.Dataset.from_dict({"a": [1]}) for _ in range(3)]
    with pytest.raises(ValueError, match="sum to 1"):
        datasets.interleave_datasets(parts, probabilities=[0.333333] * 3)
    text = export({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, "huggingface", paths={x: x for x in "abc"}, unit="sequences")
    datasets.interleave_datasets(parts, probabilities=[source["probability"] for source in json.loads(text)["sources"]])
