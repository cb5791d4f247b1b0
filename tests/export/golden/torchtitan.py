"""Written by mixlaw. The numbers are shares of sequences of equal length, so of training tokens: the mixture itself."""

from datasets import load_dataset
from torchtitan.hf_datasets import DatasetConfig
from torchtitan.hf_datasets.text_datasets import DATASETS, HFDataSource, InterleavedHuggingFaceTextDataLoader


def _load(path):
    return load_dataset(path, split="train", streaming=True)


def _text(sample):
    return sample["text"]


SOURCES = [  # (domain, path, weight)
    ("code", "/d/code", 0.5),
    ("web", "/d/web", 0.3),
    ("books", "/d/books", 0.2),
]
for domain, path, _ in SOURCES:
    DATASETS[domain.lower()] = DatasetConfig(path=path, loader=_load, sample_processor=_text)

DATALOADER = InterleavedHuggingFaceTextDataLoader.Config(
    sources=[HFDataSource(dataset=domain, dataset_path=path, weight=weight) for domain, path, weight in SOURCES],
)
