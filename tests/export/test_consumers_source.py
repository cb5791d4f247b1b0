"""GPT-NeoX and nanotron read our output and draw from it; `make test-consumers-source` clones both and runs this.

PyPI has neither GPT-NeoX nor a nanotron with stages. Both import code for GPUs throughout, so only the modules that
read our output or draw from it are loaded from the checkouts, as they stand there, and the C++ that builds the blends
is compiled from them; whatever else these modules import of their own package, and deepspeed, are stand-ins that
nothing here depends on. Drawn shares are compared with the mixture exactly, or, of a Nanoset, which cuts a shuffled
list, within four standard errors.
"""

import collections
import dataclasses
import importlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import yaml

from mixlaw.export import export

pytestmark = [pytest.mark.consumers, pytest.mark.source, pytest.mark.filterwarnings("ignore")]

MIXTURE = {"code": 0.5, "web": 0.3, "books": 0.2}
LATER = {"code": 0.0, "web": 0.75, "books": 0.25}
DOMAINS = list(MIXTURE)
LENGTH = 32


def shares(tokens: Iterable[int]) -> dict[str, float]:
    """Every token of a domain's data is its place in the mixture."""
    counts = collections.Counter(DOMAINS[token] for token in tokens)
    return {domain: counts[domain] / counts.total() for domain in DOMAINS}


class StandIn(mock.MagicMock):
    """Takes any call and has any attribute, as the functions and classes have that it stands for."""

    __name__ = "stand_in"


class Source(MetaPathFinder, Loader):
    """Some modules of a package from its checkout; its other modules, and the packages `absent`, are stand-ins."""

    def __init__(self, package: Path, modules: Iterable[str], absent: Iterable[str] = ()) -> None:
        self.files = {f"{package.name}.{name}": package / f"{name.replace('.', '/')}.py" for name in modules}
        self.packages = {package.name, *(name for name in absent if importlib.util.find_spec(name) is None)}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name in self.files:
            return importlib.util.spec_from_file_location(name, self.files[name])
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in self.packages else None

    def exec_module(self, module: types.ModuleType) -> None:
        def stand_in(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return module.__dict__.setdefault(name, StandIn(name=f"{module.__name__}.{name}"))

        module.__dict__["__getattr__"] = stand_in

    def load(self, name: str, *, through: str = "") -> types.ModuleType:
        """A module of the checkout; the package `through` hands out what it defines, as the real one does."""
        module = importlib.import_module(name)
        if through:
            self.offer(through, **{key: value for key, value in vars(module).items() if not key.startswith("_")})
        return module

    def offer(self, package: str, **names: Any) -> None:
        importlib.import_module(package).__dict__.update(names)

    def __enter__(self) -> "Source":
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)
        for name in [name for name in sys.modules if name.partition(".")[0] in self.packages]:
            del sys.modules[name]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """One process that talks to nobody, as torch sees it."""
    import torch

    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


Compiler = Callable[[Path, str], types.ModuleType]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    """Makes the extension module that a trainer's Makefile would make of a C++ file, outside of its checkout."""

    def compile_once(source: Path, name: str) -> types.ModuleType:
        import pybind11

        library = tmp_path_factory.getbasetemp() / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
        if not library.exists():
            includes = [f"-I{path}" for path in (pybind11.get_include(), sysconfig.get_path("include"))]
            command = ["g++", "-shared", "-std=c++17", "-fPIC", *includes, str(source), "-o", str(library)]
            subprocess.run(command, check=True)
        return loaded(library, name)

    return compile_once


def loaded(file: Path, name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checkout(variable: str) -> Path:
    if variable not in os.environ:
        pytest.skip(f"{variable} does not name a checkout; `make test-consumers-source` clones one")
    return Path(os.environ[variable])


NEOX_MODULES = (
    "data.blendable_dataset",
    "data.data_utils",
    "data.gpt2_dataset",
    "data.indexed_dataset",
    "neox_arguments.arguments",
    "neox_arguments.deepspeed_args",
    "neox_arguments.neox_args",
    "neox_arguments.template",
    "utils",
)
NEOX_RUN = {
    "num-layers": 2,
    "hidden-size": 8,
    "num-attention-heads": 2,
    "seq-length": LENGTH,
    "max-position-embeddings": LENGTH,
    "train-iters": 500,
    "eval-iters": 50,
    "checkpoint-factor": 100,
    "train_micro_batch_size_per_gpu": 2,
    "global_num_gpus": 1,
}


@pytest.fixture
def neox(alone: None, compiled: Compiler, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.SimpleNamespace]:
    """GPT-NeoX's arguments and data modules."""
    import torch

    package = checkout("GPT_NEOX") / "megatron"
    # Ranks wait for each other through a tensor on the GPU and a group of the model's; here is one rank without GPU.
    monkeypatch.setattr(torch.cuda, "LongTensor", torch.LongTensor, raising=False)
    with Source(package, NEOX_MODULES, absent=("deepspeed", "wandb", "requests", "shortuuid")) as source:
        source.offer("megatron", mpu=types.SimpleNamespace(get_io_parallel_group=lambda: None))
        source.offer("megatron.data", helpers=compiled(package / "data" / "helpers.cpp", "megatron.data.helpers"))
        yield types.SimpleNamespace(
            arguments=source.load("megatron.neox_arguments.arguments").NeoXArgs,
            data=source.load("megatron.data.data_utils"),
            indexed=source.load("megatron.data.indexed_dataset"),
        )


def read_by_neox(neox: types.SimpleNamespace, folder: Path, text: str, **more: Any) -> Any:
    (folder / "run.yml").write_text(yaml.safe_dump(NEOX_RUN | more))
    (folder / "data.yml").write_text(text)
    return neox.arguments.from_ymls([str(folder / "run.yml"), str(folder / "data.yml")])


def test_gpt_neox_reads_our_lists_and_blends_every_split_in_exactly_our_shares(
    neox: types.SimpleNamespace, tmp_path: Path
) -> None:
    places: dict[str, dict[str, str]] = {}
    for token, domain in enumerate(DOMAINS):
        places[domain] = {split: str(tmp_path / f"{domain}_{split}") for split in ("train", "valid", "test")}
        for prefix in places[domain].values():
            builder = neox.indexed.make_builder(f"{prefix}.bin", "mmap", vocab_size=100)
            for _ in range(30):
                builder.add_item(np.full(65, token, dtype=np.uint16))
                builder.end_document()
            builder.finalize(f"{prefix}.idx")
    arguments = read_by_neox(neox, tmp_path, export({**MIXTURE, "unused": 0.0}, "gpt-neox", paths=places))
    counts = {"train": 1000, "valid": 100, "test": 100}
    weighed = {
        split: neox.data.get_normalized_weights_and_num_samples(getattr(arguments, f"{split}_data_weights"), count)
        for split, count in counts.items()
    }
    # After the counts come weights or epochs, by version; of the weights no use is made, and no epochs are wanted.
    built = neox.data.build_weighted_datasets(arguments, *(samples for _, samples in weighed.values()), *[None] * 3)
    for (split, count), datasets in zip(counts.items(), built, strict=True):
        blend = neox.data.BlendableDataset(datasets, weighed[split][0])
        assert len(blend) >= count
        assert shares(int(blend[place]["text"][0]) for place in range(count)) == MIXTURE


def test_gpt_neox_refuses_lists_of_one_split_until_the_others_are_added(
    neox: types.SimpleNamespace, tmp_path: Path
) -> None:
    text = export(MIXTURE, "gpt-neox", paths={domain: f"/d/{domain}" for domain in MIXTURE})
    assert "valid-data-paths and test-data-paths" in text
    with pytest.raises(AssertionError, match="One or more of train/valid/test data_path are not provided"):
        read_by_neox(neox, tmp_path, text)
    held_out = {"valid-data-paths": ["/v"], "test-data-paths": ["/t"]}
    arguments = read_by_neox(neox, tmp_path, text, **held_out)
    assert arguments.train_data_paths == [f"/d/{domain}" for domain in MIXTURE]
    assert arguments.train_data_weights == list(MIXTURE.values())


NANOTRON_MODULES = (
    "config.config",
    "data.nanoset",
    "data.nemo_dataset.blendable_dataset",
    "data.s3_utils",
    "data.tokenized_bytes",
    "data.utils",
    "helpers",
    "serialize.metadata",
    "trainer",
)
BATCH = 4
STEPS = 250


@pytest.fixture
def nanotron(alone: None, compiled: Compiler, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.SimpleNamespace]:
    """nanotron's configuration, data and stages."""
    root = checkout("NANOTRON")
    package = root / "src" / "nanotron"
    with Source(package, NANOTRON_MODULES) as source:
        config = source.load("nanotron.config.config", through="nanotron.config")
        metadata = source.load("nanotron.serialize.metadata", through="nanotron.serialize")
        blends = "nanotron.data.nemo_dataset"
        helpers = compiled(package / "data" / "nemo_dataset" / "helpers.cpp", f"{blends}.helpers")
        source.offer(blends, helpers=helpers)
        source.load(f"{blends}.blendable_dataset", through=blends)
        trainer = source.load("nanotron.trainer")
        monkeypatch.setattr(trainer, "sanity_check_dataloader", lambda dataloader, **_: dataloader)
        yield types.SimpleNamespace(
            config=config,
            data=source.load("nanotron.data.tokenized_bytes"),
            metadata=metadata,
            nanoset=source.load("nanotron.data.nanoset"),
            run=loaded(root / "run_train.py", "run_train"),
            trainer=trainer,
        )


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """A folder of tokens for each domain, as datatrove leaves them, with "s3" in its path as nanotron wants it."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({domain: token for token, domain in enumerate(DOMAINS)}, unk_token="code"))
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(tmp_path / "tokenizer")
    for token, domain in enumerate(DOMAINS):
        folder = tmp_path / "s3" / domain
        folder.mkdir(parents=True)
        np.full(300 * (LENGTH + 1), token, dtype=np.uint16).tofile(folder / "00000_00000.ds")
        (folder / "00000_00000.ds.metadata").write_text(f"{tmp_path / 'tokenizer'}|2\n{300 * (LENGTH + 1)}\n")
    return {domain: str(tmp_path / "s3" / domain) for domain in DOMAINS}


def read_by_nanotron(nanotron: types.SimpleNamespace, file: Path, stages: int) -> Any:
    """The first stages of a file, read by nanotron's reader and checked as part of its configuration.

    The model, which our file does not hold, is a stand-in that agrees with the data.
    """
    section = dataclasses.make_dataclass("Section", [("data_stages", list[nanotron.config.DatasetStageArgs])])
    read = nanotron.config.get_config_from_file(str(file), config_class=section).data_stages[:stages]
    model = types.SimpleNamespace(
        vocab_size=-1, num_attention_heads=1, num_key_value_heads=1, moe_config=None, is_moe_model=False
    )
    config = types.SimpleNamespace(
        data_stages=read,
        model=types.SimpleNamespace(model_config=model),
        parallelism=types.SimpleNamespace(tp=1, expert_parallel_size=1),
        tokens=types.SimpleNamespace(sequence_length=LENGTH, train_steps=2 * STEPS),
        **dict.fromkeys(("s3_upload", "profiler", "optimizer", "tokenizer", "lighteval"), None),
    )
    nanotron.config.Config.__post_init__(config)
    for stage in config.data_stages:
        # nanotron's own reader of folders: its other one needs a datatrove that has not been released.
        stage.data.dataset.use_old_brrr_dataloader = True
    return config


def launched(nanotron: types.SimpleNamespace, config: Any, resumed: Any = None) -> Any:
    """A trainer at its first step, or at the step after a checkpoint's, with the loader of its stage.

    It is as nanotron makes one of a configuration, without a model: a fresh one knows every stage of the file.
    """
    metadata = nanotron.metadata

    def stage_data(trainer: Any, data: Any, **kept: Any) -> Any:
        blend, _ = nanotron.data.get_tb_datasets(
            data.dataset,
            sequence_length=LENGTH,
            global_batch_size=BATCH,
            train_steps=2 * STEPS,
            current_iteration=trainer.iteration_step,
            parallel_context=StandIn(),
            seed=data.seed,
            consumed_samples=kept["consumed_train_samples_stage"],
            consumed_tokens_per_dataset_folder=kept["consumed_tokens_per_dataset_folder"],
            last_stages_consumed_tokens_per_dataset_folder=kept["last_stages_consumed_tokens_per_dataset_folder"],
        )
        return blend

    fresh = [
        metadata.DataStageMetadata(stage.name, stage.start_training_step, 0, stage.sequence_length)
        for stage in config.data_stages
    ]
    state = resumed or metadata.TrainingMetadata(0, 0, 0, last_stage_idx=0, data_stages=fresh)
    trainer = types.SimpleNamespace(config=config, metadata=state, iteration_step=state.last_train_step)
    trainer.__dict__.update(sequence_length=LENGTH, parallel_context=None, current_dataloader=None)
    with mock.patch.object(nanotron.run, "get_dataloader_from_data_stage", stage_data):
        loaders = nanotron.run.get_dataloader(trainer)
    trainer.iteration_step += 1
    nanotron.trainer.DistributedTrainer._update_dataloader_based_on_training_stages(trainer, loaders)
    return trainer


def drawn(blend: Any) -> dict[str, float]:
    return shares(int(blend[place]["input_ids"][0]) for place in range(STEPS * BATCH))


def staged_file(tmp_path: Path, folders: Mapping[str, str]) -> Path:
    with pytest.warns(UserWarning, match="trains on the last stage"):
        text = export(MIXTURE, "nanotron", paths=folders, later={STEPS: LATER})
    (tmp_path / "stages.yaml").write_text(text)
    return tmp_path / "stages.yaml"


def test_nanotron_draws_exactly_our_shares_in_every_stage_when_it_is_launched_once_a_stage(
    nanotron: types.SimpleNamespace, folders: dict[str, str], tmp_path: Path
) -> None:
    file = staged_file(tmp_path, folders)
    first = launched(nanotron, read_by_nanotron(nanotron, file, stages=1))
    assert first.iteration_step == 1 and drawn(first.current_dataloader) == MIXTURE
    state = first.metadata
    state.last_train_step = STEPS
    state.data_stages[0].consumed_train_samples = STEPS * BATCH
    state.data_stages[0].consumed_tokens_per_dataset_folder = {
        folder: round(STEPS * BATCH * LENGTH * MIXTURE[domain]) for domain, folder in folders.items()
    }
    second = launched(nanotron, read_by_nanotron(nanotron, file, stages=2), resumed=state)
    assert second.iteration_step == STEPS + 1 and second.metadata.last_stage_idx == 1
    assert drawn(second.current_dataloader) == LATER


def test_nanotron_cannot_be_started_on_a_file_of_two_stages(
    nanotron: types.SimpleNamespace, folders: dict[str, str], tmp_path: Path
) -> None:
    file = staged_file(tmp_path, folders)
    with pytest.raises(KeyError, match="after 0 steps"):
        launched(nanotron, read_by_nanotron(nanotron, file, stages=2))


def test_nanotron_refuses_to_count_tokens_of_folders_without_s3_in_their_paths(
    nanotron: types.SimpleNamespace, folders: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "stages.yaml"
    file.write_text(export(MIXTURE, "nanotron", paths=folders))
    blend = launched(nanotron, read_by_nanotron(nanotron, file, stages=1)).current_dataloader
    assert set(blend.get_consumption_stats()) == set(folders.values())
    blend.datasets[0].folder_path = "/d/code"
    with pytest.raises(AssertionError, match="Only S3 paths are supported"):
        blend.get_consumption_stats()


def test_a_nanoset_draws_our_shares(
    nanotron: types.SimpleNamespace, folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datatrove.utils.dataset import DatatroveFolderDataset

    def released(folder_path: str, filename_pattern: str, eos_token_id: int, **same: Any) -> Any:
        """datatrove's reader by the names that it was released with."""
        return DatatroveFolderDataset(folder_path, filename_pattern=Path(filename_pattern).name, **same)

    monkeypatch.setattr(nanotron.nanoset, "DatatroveFolderDataset", released)
    file = tmp_path / "stages.yaml"
    file.write_text(export(MIXTURE, "nanotron", paths=folders))
    data = read_by_nanotron(nanotron, file, stages=1).data_stages[0].data
    dataset = nanotron.nanoset.Nanoset(
        data.dataset.dataset_folder,
        sequence_length=LENGTH,
        token_size=data.dataset.token_size_in_bytes,
        train_split_num_samples=800,
        dataset_weights=data.dataset.dataset_weights,
        random_seed=data.seed,
        eos_token_id=0,
        return_positions=False,
    )
    found = shares(int(dataset[place]["input_ids"][0]) for place in range(800))
    assert all(abs(found[name] - p) < 4 * np.sqrt(p * (1 - p) / 800) for name, p in MIXTURE.items())
