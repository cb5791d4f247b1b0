"""torchtitan's interleaved Hugging Face text loader."""

from mixlaw.errors import Refused
from mixlaw.export.base import Exporter, Request, Unit
from mixlaw.export.block_yaml import quoted

HEADER = '''\
"""{comment}"""

from datasets import load_dataset
from torchtitan.hf_datasets import DatasetConfig
from torchtitan.hf_datasets.text_datasets import DATASETS, HFDataSource, InterleavedHuggingFaceTextDataLoader


def _load(path):
    return load_dataset(path, split="train", streaming=True)


def _text(sample):
    return sample["text"]


SOURCES = [  # (domain, path, weight)
'''

FOOTER = """\
]
for domain, path, _ in SOURCES:
    DATASETS[domain.lower()] = DatasetConfig(path=path, loader=_load, sample_processor=_text)

DATALOADER = InterleavedHuggingFaceTextDataLoader.Config(
    sources=[HFDataSource(dataset=domain, dataset_path=path, weight=weight) for domain, path, weight in SOURCES],
)
"""


def render(request: Request) -> str:
    """Python, since torchtitan is configured in Python: a module with the loader's configuration in `DATALOADER`.

    torchtitan packs each source into sequences before it draws from them, so weights are shares of tokens. It looks
    data sets up by lower-case name, so each domain is registered under its own; sources start over when they end.
    """
    names = [source.domain.lower() for source in request.sources]
    for source, name in zip(request.sources, names, strict=True):
        if names.count(name) > 1:
            raise Refused(
                f"'{source.domain}' is one of two domains that torchtitan, which ignores case, calls '{name}'"
            )
    lines = [f"    ({quoted(source.domain)}, {quoted(source.path)}, {source.number}),\n" for source in request.sources]
    return HEADER.format(comment=request.comment) + "".join(lines) + FOOTER


EXPORTER = Exporter(
    name="torchtitan",
    description="torchtitan 0.3: InterleavedHuggingFaceTextDataLoader.Config, as a Python module",
    units=(Unit.SEQUENCES,),
    filename="mixture.py",
    usage="import DATALOADER from FILE and set it as `dataloader` of the trainer's Config",
    render=render,
)
