"""The trainers that want Python 3.12 read our output and draw from it; `make test-consumers-312` runs this."""

import collections
from pathlib import Path

import pytest
import yaml

from mixlaw.export import export

pytestmark = [pytest.mark.consumers, pytest.mark.python312, pytest.mark.filterwarnings("ignore")]

MIXTURE = {"code": 0.5, "web": 0.3, "books": 0.2}


def test_levanter_decodes_our_configuration_and_draws_our_shares_in_every_stage() -> None:
    import draccus
    import jax
    from levanter.data.dataset import ListAsyncDataset
    from levanter.data.mixture import MixtureDataset, rescale_mixture_schedule_for_batch_schedule
    from levanter.data.text.datasets import LmDataConfig
    from levanter.schedule import BatchSchedule

    paths = {domain: f"/d/{domain}/*.jsonl" for domain in MIXTURE}
    later = {9216: {"code": 0.25, "web": 0.75, "books": 0.0}}
    section = yaml.safe_load(export(MIXTURE, "levanter", paths=paths, later=later))["data"]
    config = draccus.decode(LmDataConfig, {**section, "tokenizer": "passthrough"})
    assert config.train_weights == [(0, MIXTURE), (9216, later[9216])]
    assert {name: part.source.train_urls for name, part in config.components.items()} == {
        name: [path] for name, path in paths.items()
    }
    with pytest.raises(Exception, match="LmDataConfig"):
        draccus.decode(LmDataConfig, {**section, "train_weights": {"unknown": 1.0}})
    block = config.mixture_block_size
    schedule = rescale_mixture_schedule_for_batch_schedule(config.train_weights, BatchSchedule(32))
    parts = {domain: ListAsyncDataset([domain] * block) for domain in MIXTURE}
    mixed = MixtureDataset(parts, schedule, block_size=block, key=jax.random.PRNGKey(0)).as_sync_dataset()
    for start, mixture in ((0, MIXTURE), (9216 * 32, later[9216])):
        drawn = collections.Counter(mixed[start + place] for place in range(block))
        assert all(abs(drawn[name] - share * block) <= 1 for name, share in mixture.items())


def test_maxtext_mixes_records_in_exactly_our_shares(tmp_path: Path) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter
    from maxtext.input_pipeline.grain_data_processing import get_datasets

    for domain in MIXTURE:
        writer = ArrayRecordWriter(str(tmp_path / f"{domain}.array_record"), "group_size:1")
        for _ in range(200):
            writer.write(domain.encode())
        writer.close()
    file = tmp_path / "mixture.json"
    paths = {domain: str(tmp_path / f"{domain}.array_record*") for domain in MIXTURE}
    file.write_text(export({**MIXTURE, "unused": 0.0}, "maxtext", paths=paths, unit="sequences"))
    records = get_datasets(
        "",
        "arrayrecord",
        shuffle=True,
        shuffle_seed=0,
        shuffle_buffer_size=10,
        num_epoch=None,
        dataloading_host_index=0,
        dataloading_host_count=1,
        grain_worker_count=0,
        grain_num_threads=1,
        grain_prefetch_buffer_size=1,
        grain_data_source_max_workers=1,
        mixture_config_path=str(file),
    )
    drawn = collections.Counter(record.decode() for record, _ in zip(records, range(1000), strict=False))
    assert drawn == {domain: share * 1000 for domain, share in MIXTURE.items()}
