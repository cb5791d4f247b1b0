"""Tokens stand for the text exactly, documents end in their token, and given tokenizers are taken as they are."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlaw.corpus.tokenizer import END_OF_DOCUMENT, Tokenizer, load_tokenizer, train_tokenizer
from mixlaw.errors import Refused

TEXTS = [f"def add_{name}(value):\n    return value + {name!r}  # naïve\n\n" for name in "abcdefghij"] * 3


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return train_tokenizer(TEXTS, 280)


def tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    (encoded,) = tokenizer.encode([text])
    return [int(token) for token in encoded]


@settings(max_examples=80, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_encoded_and_decoded_to_itself(trained: Tokenizer, text: str) -> None:
    *body, end = tokens(trained, text)
    assert end == trained.end_of_document and trained.end_of_document not in body
    assert trained.encoder.decode(body, skip_special_tokens=False) == text
    assert all(token < trained.vocabulary_size for token in body)


def test_a_text_that_spells_the_end_token_does_not_end_the_document(trained: Tokenizer) -> None:
    assert tokens(trained, f"a {END_OF_DOCUMENT} b").count(trained.end_of_document) == 1


def test_a_vocabulary_of_256_is_bytes_and_one_end(trained: Tokenizer) -> None:
    bytewise = train_tokenizer(TEXTS, 256)
    assert bytewise.vocabulary_size == 256 and bytewise.dtype == "uint16"
    text = "naïve 漢字\0\n"
    assert len(tokens(bytewise, text)) == len(text.encode()) + 1
    assert len(tokens(trained, TEXTS[0])) < len(TEXTS[0].encode()) / 2 and trained.vocabulary_size == 280


def test_the_same_texts_in_any_order_give_the_same_tokenizer(trained: Tokenizer) -> None:
    assert train_tokenizer(TEXTS[::-1], 280).encoder.to_str() == trained.encoder.to_str()


def test_a_written_tokenizer_is_read_back_with_its_end(trained: Tokenizer, tmp_path: Path) -> None:
    trained.write(tmp_path / "tokenizer.json")
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        again = load_tokenizer(path)
        assert again.end_of_document == trained.end_of_document
        np.testing.assert_array_equal(next(again.encode(TEXTS)), next(trained.encode(TEXTS)))


def test_transformers_reads_the_tokenizer_of_a_corpus(trained: Tokenizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    trained.write(tmp_path / "tokenizer.json")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert theirs(TEXTS[0])["input_ids"] == tokens(trained, TEXTS[0])[:-1]


def test_a_hugging_face_folder_says_its_end_and_adds_or_cuts_nothing(tmp_path: Path) -> None:
    encoder = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "<s>": 2, "</s>": 3, "<stop>": 9}, "a"))
    encoder.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    encoder.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 2)])
    encoder.enable_truncation(2)
    encoder.enable_padding(length=8)
    encoder.save(str(tmp_path / "tokenizer.json"))
    assert tokens(load_tokenizer(tmp_path), "b b b") == [1, 1, 1, 3]
    for configured in ("<stop>", {"content": "<stop>"}):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": configured}))
        assert tokens(load_tokenizer(tmp_path), "b b b") == [1, 1, 1, 9]
    assert load_tokenizer(tmp_path).vocabulary_size == 10
    assert tokens(load_tokenizer(tmp_path, "a"), "b") == [1, 0]
    with pytest.raises(Refused, match="has no token 'nothing'"):
        load_tokenizer(tmp_path, "nothing")


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"tokenizer.json does not exist.*save_pretrained"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"a": 1}')
    with pytest.raises(Refused, match="is not a tokenizer of the `tokenizers` library"):
        load_tokenizer(tmp_path)
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, "a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(Refused, match="does not say which token ends a document; name it by --end-of-document"):
        load_tokenizer(tmp_path)
    with pytest.raises(Refused, match="vocabulary of 255 cannot hold every byte"):
        train_tokenizer(TEXTS, 255)


def test_without_the_library_tokenising_is_refused_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(Refused, match=r"needs the package tokenizers; install mixlaw\[train\]"):
        train_tokenizer(TEXTS, 300)
