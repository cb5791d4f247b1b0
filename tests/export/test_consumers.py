"""The trainers themselves read our output and draw from it; `make test-consumers` runs this in their own environment.

Shares are compared with the mixture: exactly where a trainer draws deterministically, within four standard errors where
it draws at random.
"""

import collections
import importlib.machinery
import json
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mixlaw.export import export

pytestmark = [pytest.mark.consumers, pytest.mark.filterwarnings("ignore")]

MIXTURE = {"code": 0.5, "web": 0.3, "books": 0.2}


def shares(drawn: Iterable[str]) -> dict[str, float]:
    counts = collections.Counter(drawn)
    return {domain: counts[domain] / counts.total() for domain in MIXTURE}


def within_noise(found: dict[str, float], count: int) -> bool:
    return all(abs(found[name] - p) < 4 * np.sqrt(p * (1 - p) / count) for name, p in MIXTURE.items())


def text_files(folder: Path, rows: int, repeat: int = 1) -> dict[str, str]:
    """A folder of JSON lines for each domain; every text is its domain's name, said `repeat` times."""
    for domain in MIXTURE:
        (folder / domain).mkdir()
        lines = [json.dumps({"text": domain * repeat}) for _ in range(rows)]
        (folder / domain / "part.jsonl").write_text("\n".join(lines) + "\n")
    return {domain: str(folder / domain / "part.jsonl") for domain in MIXTURE}


def test_megatron_builds_a_blended_dataset_of_exactly_our_shares(tmp_path: Path) -> None:
    import torch
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
    from megatron.core.datasets.utils import get_blend_from_list

    for token, domain in enumerate(MIXTURE):
        builder = IndexedDatasetBuilder(str(tmp_path / f"{domain}.bin"), dtype=np.uint16)
        for _ in range(300):
            builder.add_document(np.full(65, token, dtype=np.uint16), [65])
        builder.finalize(str(tmp_path / f"{domain}.idx"))
    text = export({**MIXTURE, "unused": 0.0}, "megatron", paths={name: str(tmp_path / name) for name in MIXTURE})
    tokenizer = types.SimpleNamespace(
        eod=99, pad=98, vocab_size=100, unique_identifiers=collections.OrderedDict(name="none")
    )
    config = GPTDatasetConfig(
        random_seed=1,
        sequence_length=32,
        blend=get_blend_from_list(text.split()),
        split="1,0,0",
        path_to_cache=str(tmp_path / "cache"),
        tokenizer=tokenizer,
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        train, _, _ = BlendedMegatronDatasetBuilder(GPTDataset, [1000, 0, 0], lambda: True, config).build()
        domains = list(MIXTURE)
        assert shares(domains[int(train[place]["tokens"][0])] for place in range(1000)) == MIXTURE
    finally:
        torch.distributed.destroy_process_group()


def test_streaming_draws_exactly_our_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import is_torchvision_available

    is_torchvision_available()  # transformers remembers its first answer: let it be the true one
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
        # Its vision part is imported with the package and is not wanted here.
        stand_in = types.ModuleType(name)
        stand_in.__spec__ = importlib.machinery.ModuleSpec(name, None)
        stand_in.__dict__.update(VisionDataset=object, to_tensor=None)
        monkeypatch.setitem(sys.modules, name, stand_in)
    from streaming import MDSWriter, Stream, StreamingDataset

    for domain in MIXTURE:
        with MDSWriter(out=str(tmp_path / domain), columns={"domain": "str"}) as writer:
            for _ in range(100):
                writer.write({"domain": domain})
    text = export(MIXTURE, "streaming", paths={domain: str(tmp_path / domain) for domain in MIXTURE})
    streams = yaml.safe_load(text)["train_loader"]["dataset"]["streams"]
    dataset = StreamingDataset(streams=[Stream(**entry) for entry in streams.values()], epoch_size=1000, batch_size=1)
    assert shares(row["domain"] for row in dataset) == MIXTURE


def test_olmo_core_builds_a_mixture_of_our_shares_with_the_passes_we_tell_it(tmp_path: Path) -> None:
    from olmo_core.data.source_mixture import SourceMixtureConfig, SourceMixtureDatasetConfig, SourceMixtureList

    available = 200_000
    for domain in MIXTURE:
        np.zeros(available, dtype=np.uint16).tofile(tmp_path / f"{domain}.npy")
    with pytest.warns(UserWarning, match=r"'code' is read 1.25 times"):
        text = export(
            MIXTURE,
            "olmo-core",
            paths={domain: str(tmp_path / f"{domain}.npy") for domain in MIXTURE},
            available=dict.fromkeys(MIXTURE, available),
            tokens=500_000,
        )
    sources = SourceMixtureList(sources=[SourceMixtureConfig(**entry) for entry in yaml.safe_load(text)["sources"]])
    sources.validate()
    config = SourceMixtureDatasetConfig(
        source_list=sources, requested_tokens=500_000, global_batch_size=4096, processes=1, quiet=True
    )
    built = config.build(npdtype=np.uint16, sequence_length=512)
    tokens = {source.name: sum(path.tokens for path in source.path_tokens) for source in built.sources}
    for domain, proportion in MIXTURE.items():  # whole sequences of 512 tokens and whole batches of 4096
        assert abs(tokens[domain] - proportion * 500_000) <= 4096


def test_torchtitan_draws_packed_sequences_in_our_shares(tmp_path: Path) -> None:
    text_files(tmp_path, rows=500, repeat=40)
    scope: dict[str, Any] = {}
    exec(export(MIXTURE, "torchtitan", paths={domain: str(tmp_path / domain) for domain in MIXTURE}), scope)
    from torchtitan.hf_datasets.text_datasets import InterleavedHuggingFaceTextDataLoader

    tokens = {"c": 10, "w": 20, "b": 30}
    tokenizer = types.SimpleNamespace(bos_id=1, eos_id=2, encode=lambda text, **_: [tokens[text[0]]] * len(text))
    loader = InterleavedHuggingFaceTextDataLoader(
        scope["DATALOADER"], dp_world_size=1, dp_rank=0, tokenizer=tokenizer, seq_len=64, local_batch_size=1
    )
    names = {10: "code", 20: "web", 30: "books"}
    drawn = (names[int(batch[0]["input"].flatten()[0])] for batch, _ in zip(loader, range(2000), strict=False))
    assert within_noise(shares(drawn), 2000)


def test_grain_mixes_exactly_our_shares_as_maxtext_has_it_do() -> None:
    import grain

    entries = json.loads(export(MIXTURE, "maxtext", paths={name: name for name in MIXTURE}, unit="sequences"))
    # MaxText builds both from the order of the file, which matters: grain pairs them by position.
    parts = {domain: grain.MapDataset.source([domain]).repeat().to_iter_dataset() for domain in entries}
    mixed = iter(grain.IterDataset.mix(parts, {domain: entry["weight"] for domain, entry in entries.items()}))
    assert shares(next(mixed) for _ in range(1000)) == MIXTURE


def test_energon_blends_our_shares(tmp_path: Path) -> None:
    from megatron.energon import (
        Cooker,
        DefaultTaskEncoder,
        TextSample,
        WorkerConfig,
        basic_sample_keys,
        get_loader,
        get_train_dataset,
        stateless,
    )
    from megatron.energon.flavors.jsonl.jsonl_prepare import JsonlPreparator

    paths = text_files(tmp_path, rows=500)
    for path in paths.values():
        JsonlPreparator.prepare_dataset(Path(path))
    file = tmp_path / "metadataset.yaml"
    file.write_text(export(MIXTURE, "energon", paths=paths, unit="sequences"))

    @stateless
    def cook(sample: dict[str, Any]) -> TextSample:
        return TextSample(**basic_sample_keys(sample), text=sample["json"]["text"])

    class Encoder(DefaultTaskEncoder):  # type: ignore[misc, type-arg]
        cookers = (Cooker(cook),)

    dataset = get_train_dataset(
        str(file),
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0),
        batch_size=1,
        shuffle_buffer_size=10,
        max_samples_per_sequence=10,
        task_encoder=Encoder(),
    )
    loader = iter(get_loader(dataset))
    assert within_noise(shares(next(loader).text[0] for _ in range(2000)), 2000)


def test_trl_keeps_rows_in_our_shares(tmp_path: Path) -> None:
    from trl import DatasetMixtureConfig, get_dataset
    from trl.scripts.utils import DatasetConfig

    paths = text_files(tmp_path, rows=1000)
    available = {domain: {"tokens": 1000, "documents": 1000} for domain in MIXTURE}
    entries = yaml.safe_load(export(MIXTURE, "trl", paths=paths, available=available, tokens=2000))["datasets"]
    kept = get_dataset(DatasetMixtureConfig(datasets=[DatasetConfig(**entry) for entry in entries]))
    assert shares(kept["train"]["text"]) == MIXTURE and len(kept["train"]) == 2000


def test_axolotl_accepts_fractions_that_keep_our_shares() -> None:
    from axolotl.utils.schemas.datasets import SFTDataset

    rows = {"code": 4000, "web": 3000, "books": 2000}
    available = {domain: {"tokens": 100 * count} for domain, count in rows.items()}
    paths = {domain: f"/d/{domain}.jsonl" for domain in MIXTURE}
    with pytest.warns(UserWarning, match="reads 800k tokens in all"):
        entries = yaml.safe_load(export(MIXTURE, "axolotl", paths=paths, available=available))["datasets"]
    weights = dict(zip(MIXTURE, (SFTDataset(**entry).weight for entry in entries), strict=True))
    kept = {domain: int(rows[domain] * weights[domain]) for domain in MIXTURE}  # its own rounding
    assert {domain: count / sum(kept.values()) for domain, count in kept.items()} == MIXTURE
