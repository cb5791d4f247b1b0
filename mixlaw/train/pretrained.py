"""A trained member as a `transformers` Llama, and back."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mixlaw.corpus.shards import Corpus
from mixlaw.errors import Refused
from mixlaw.files import write_json
from mixlaw.train.members import WEIGHTS
from mixlaw.train.model import EPSILON, ROTARY_BASE, Buffers, Layout


def llama_config(layout: Layout, sequence_length: int, end_of_document: int | None = None) -> dict[str, Any]:
    """The same model as `transformers.LlamaConfig` describes it: its `config.json`.

    Written rather than imported, since importing `transformers` takes longer than training the smallest runs. The base
    of the rotary positions is there twice, as versions before 5 and since read it.
    """
    shape = layout.shape
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": layout.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": sequence_length,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROTARY_BASE,
        "rope_parameters": {"rope_theta": ROTARY_BASE, "rope_type": "default"},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": end_of_document,
        "eos_token_id": end_of_document,
        "torch_dtype": "float32",
    }


def to_llama(layout: Layout, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a member's weights to those of `LlamaForCausalLM`, splitting what the pack keeps joined."""
    renamed = {
        "model.embed_tokens.weight": weights["embedding"],
        "model.norm.weight": weights["norm"],
        "lm_head.weight": weights["head"],
    }
    for layer in range(layout.shape.layers):
        query, key, value = weights[f"{layer}.qkv"].chunk(3)
        gate, up = weights[f"{layer}.gate_up"].chunk(2)
        parts = {
            "self_attn.q_proj": query,
            "self_attn.k_proj": key,
            "self_attn.v_proj": value,
            "self_attn.o_proj": weights[f"{layer}.out"],
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": weights[f"{layer}.down"],
            "input_layernorm": weights[f"{layer}.attention_norm"],
            "post_attention_layernorm": weights[f"{layer}.feed_forward_norm"],
        }
        renamed |= {f"model.layers.{layer}.{name}.weight": weight for name, weight in parts.items()}
    return {name: weight.contiguous() for name, weight in renamed.items()}


def from_llama(layout: Layout, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `to_llama`: a member's weights by the names of the layout."""
    found = {
        "embedding": weights["model.embed_tokens.weight"],
        "norm": weights["model.norm.weight"],
        "head": weights["lm_head.weight"],
    }
    for layer in range(layout.shape.layers):
        parts = {
            "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "out": ("self_attn.o_proj",),
            "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
            "down": ("mlp.down_proj",),
            "attention_norm": ("input_layernorm",),
            "feed_forward_norm": ("post_attention_layernorm",),
        }
        for name, sources in parts.items():
            found[f"{layer}.{name}"] = torch.cat([weights[f"model.layers.{layer}.{part}.weight"] for part in sources])
    return found


def load_llama(folder: Path, layout: Layout) -> Buffers:
    """The two buffers, (1, P1) and (1, P2), on the CPU, of a model that `save_llama` wrote.

    Raises:
        Refused: if it is not there, or of another shape.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise Refused(f"{path} does not exist; train the run '{folder.name}' again")
    weights = from_llama(layout, load_file(path))
    for part in (layout.matrices, layout.others):
        for name, size in part.items():
            if tuple(weights[name].shape) != size:
                raise Refused(f"{path} has a weight of shape {tuple(weights[name].shape)} where {size} is needed")
    matrices, others = (
        torch.cat([weights[name].reshape(-1) for name in part]).unsqueeze(0)
        for part in (layout.matrices, layout.others)
    )
    return matrices, others


def save_llama(folder: Path, layout: Layout, weights: dict[str, Tensor], corpus: Corpus, sequence_length: int) -> None:
    """Write a folder that `LlamaForCausalLM.from_pretrained` and `PreTrainedTokenizerFast.from_pretrained` load.

    The folder appears whole: it is written beside its place and renamed.
    """
    temporary = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write_json(temporary / "config.json", llama_config(layout, sequence_length, corpus.end_of_document))
        save_file(to_llama(layout, weights), temporary / WEIGHTS, metadata={"format": "pt"})
        shutil.copyfile(corpus.tokenizer_path, temporary / "tokenizer.json")
        end = _token(corpus)
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": sequence_length}
        write_json(temporary / "tokenizer_config.json", {**settings, "bos_token": end, "eos_token": end})
    except OSError as error:
        raise Refused(f"{folder} cannot be written: {error.strerror}; make room or choose another folder") from error
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _token(corpus: Corpus) -> str:
    tokenizer = json.loads(corpus.tokenizer_path.read_text(encoding="utf-8"))
    names = {entry["id"]: entry["content"] for entry in tokenizer.get("added_tokens", [])}
    names |= {number: token for token, number in tokenizer["model"].get("vocab", {}).items()}
    return str(names[corpus.end_of_document])
