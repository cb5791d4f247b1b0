"""A corpus holds the text it was given, all of it, split and countable, or is not there at all."""

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from mixlaw.corpus.build import build_corpus
from mixlaw.corpus.readers import Skipped
from mixlaw.corpus.shards import SPLITS, Corpus, open_corpus, read_manifest
from mixlaw.corpus.tokenizer import load_tokenizer, train_tokenizer
from mixlaw.errors import Refused
from mixlaw.files import sha256

SOURCES: dict[str, list[str | Skipped]] = {
    "code": [f"def f{number}(x):\n    return x + {number}\n" * 20 for number in range(120)],
    "web": [f"Page {number}: naïve text, in words. " * 15 for number in range(150)],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_corpus(tmp_path_factory.mktemp("corpora") / "corpus", SOURCES, tokenizer=400)


@pytest.fixture
def copy(built: Corpus, tmp_path: Path) -> Path:
    """A copy of the corpus that a test may break."""
    return Path(shutil.copytree(built.path, tmp_path / "copy"))


def decoded(corpus: Corpus, domain: str) -> dict[str, list[str]]:
    """The documents of both splits, read back from their tokens."""
    encoder = load_tokenizer(corpus.tokenizer_path).encoder
    documents = {}
    for split in SPLITS:
        tokens = corpus.tokens(domain, split)
        ends = np.flatnonzero(tokens == corpus.end_of_document)
        assert ends[-1] == len(tokens) - 1
        documents[split] = [encoder.decode(part[:-1].tolist()) for part in np.split(tokens, ends[:-1] + 1)]
    return documents


def test_every_document_is_in_one_split_and_reads_back_as_it_was(built: Corpus) -> None:
    assert built.domains == ("code", "web") and built.vocabulary_size == 400
    for domain, given in SOURCES.items():
        documents = decoded(built, domain)
        assert sorted(documents["train"] + documents["validation"]) == sorted(map(str, given))
        for split in SPLITS:
            shard = built.shards[split][domain]
            assert shard.documents == len(documents[split])
            assert shard.bytes == sum(len(text.encode()) for text in documents[split])
            assert shard.tokens == len(built.tokens(domain, split))


def test_a_small_domain_holds_out_a_fifth(built: Corpus) -> None:
    for domain in built.domains:
        held, kept = (built.shards[split][domain].bytes for split in ("validation", "train"))
        assert 0.2 <= held / (held + kept) < 0.22


def test_bytes_per_token_turn_nats_into_bits_per_byte(built: Corpus) -> None:
    held_out = built.shards["validation"]["web"]
    assert built.bytes_per_token["web"] == held_out.bytes / held_out.tokens
    assert built.validation_tokens["web"] == held_out.tokens


def test_the_corpus_depends_on_the_documents_and_not_on_how_they_came(built: Corpus, tmp_path: Path) -> None:
    turned = {name: [*documents[::-1], *documents[:3]] for name, documents in reversed(SOURCES.items())}
    again = build_corpus(tmp_path / "again", turned, tokenizer=400)
    assert again.shards == built.shards and again.tokenizer_sha256 == built.tokenizer_sha256
    assert again.duplicates == {"code": 3, "web": 3} and built.duplicates == {"code": 0, "web": 0}


def test_the_tokenizer_learns_from_training_documents_alone(built: Corpus) -> None:
    kept = [text for domain in built.domains for text in decoded(built, domain)["train"]]
    everything = [str(text) for documents in SOURCES.values() for text in documents]
    alone, leaking = (train_tokenizer(texts, 400).encoder.to_str(pretty=True) + "\n" for texts in (kept, everything))
    assert built.tokenizer_path.read_text() == alone != leaking


def test_windows_predict_every_token_but_the_first_exactly_once(built: Corpus) -> None:
    tokens = np.array(built.tokens("web", "train"))
    for length in (1, 7, 64):
        windows = built.sequences("web", "train", length)
        assert windows.shape == ((len(tokens) - 1) // length, length + 1) and not windows.flags.writeable
        np.testing.assert_array_equal(windows[:, 1:].ravel(), tokens[1 : 1 + windows.shape[0] * length])
        np.testing.assert_array_equal(windows[:, :-1].ravel(), tokens[: windows.shape[0] * length])
        assert np.shares_memory(windows, windows[1:])


def test_sequence_counts_are_the_windows_within_what_is_available(built: Corpus) -> None:
    np.testing.assert_array_equal(
        built.sequence_counts(64), [len(built.sequences(domain, "train", 64)) for domain in built.domains]
    )
    np.testing.assert_array_equal(built.sequence_counts(64, {"code": 1000}, domains=("code",)), [1000 // 64])


@pytest.mark.parametrize(
    ("available", "length", "message"),
    [
        ({"coed": 100}, 64, "did you mean 'code'"),
        ({"code": 10**9}, 64, r"1000000000 tokens of 'code' are said to be available, and the corpus holds \d+"),
        ({"code": 63}, 64, "less than one sequence of 64"),
        ({}, 10**6, r"the train text of 'code' is \d+ tokens, fewer than one sequence"),
    ],
)
def test_sequences_that_cannot_be_had_are_refused(
    built: Corpus, available: dict[str, int], length: int, message: str
) -> None:
    with pytest.raises(Refused, match=message):
        built.sequence_counts(length, available)


def test_the_manifest_says_what_is_on_disk(built: Corpus) -> None:
    built.verify()
    assert read_manifest(built.path / "manifest.json") == built == open_corpus(built.path)
    for split in SPLITS:
        for shard in built.shards[split].values():
            assert sha256(built.path / shard.file) == shard.sha256
    names = sorted(str(path.relative_to(built.path)) for path in built.path.rglob("*") if path.is_file())
    shards = [f"{split}/{domain}.bin" for split in SPLITS for domain in built.domains]
    assert names == ["manifest.json", "tokenizer.json", *shards]


def test_a_given_tokenizer_is_used_and_kept(built: Corpus, tmp_path: Path) -> None:
    again = build_corpus(tmp_path / "again", SOURCES, tokenizer=load_tokenizer(built.path))
    assert again.shards == built.shards and again.tokenizer_sha256 == built.tokenizer_sha256


def break_shard(corpus: Path) -> None:
    with (corpus / "train" / "web.bin").open("ab") as file:
        file.write(b"\0")


def break_tokenizer(corpus: Path) -> None:
    (corpus / "tokenizer.json").write_text("{}")


def break_manifest(corpus: Path) -> None:
    content = json.loads((corpus / "manifest.json").read_text())
    del content["domains"]["web"]["train"]["tokens"]
    (corpus / "manifest.json").write_text(json.dumps(content))


def lose_shard(corpus: Path) -> None:
    (corpus / "validation" / "code.bin").unlink()


def lose_manifest(corpus: Path) -> None:
    (corpus / "manifest.json").unlink()


def age_manifest(corpus: Path) -> None:
    (corpus / "manifest.json").write_text('{"format": "mixlaw corpus 0"}')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_shard, r"train/web.bin is \d+ bytes, and its manifest says \d+"),
        (lose_shard, r"validation/code.bin is 0 bytes"),
        (break_tokenizer, "tokenizer.json is not what the manifest describes"),
        (break_manifest, "manifest.json is incomplete .*tokens"),
        (age_manifest, "format 'mixlaw corpus 0', not 'mixlaw corpus 1'"),
        (lose_manifest, "has no manifest.json, so it is not a corpus"),
    ],
)
def test_a_damaged_corpus_is_refused_when_opened(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(copy)
    with pytest.raises(Refused, match=message):
        open_corpus(copy)


def test_a_changed_token_is_found_by_verifying(copy: Path) -> None:
    with (copy / "train" / "web.bin").open("r+b") as file:
        file.write(b"\7\7")
    with pytest.raises(Refused, match=r"train/web.bin is not what the manifest describes"):
        open_corpus(copy).verify()


def failing() -> Iterator[str | Skipped]:
    yield from ("a", "b")
    raise Refused("the second file is bad")


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ({"web": failing()}, {}, "the second file is bad"),
        ({"web": ["a", "b"], "code": ["a", "b"]}, {}, r"'code' has no document \(skipped duplicates: 2\)"),
        ({}, {}, "at least one domain"),
        ({"a/b": ["a", "b"]}, {}, "'a/b' cannot name a domain"),
        ({"web": ["a"], "Web": ["b"]}, {}, "web and Web differ only in case"),
        ({"web": ["a", "b"]}, {"validation": 0.6}, "share of 0.6"),
        ({"web": ["a", "b"]}, {"tokenizer": 100}, "vocabulary of 100"),
    ],
)
def test_what_cannot_be_built_leaves_nothing_behind(
    tmp_path: Path, sources: dict[str, list[str | Skipped]], options: dict[str, float], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        build_corpus(tmp_path / "corpus", sources, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_only_a_corpus_is_ever_replaced_and_only_when_asked(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is a corpus already; name another folder, or pass --force"):
        build_corpus(copy, SOURCES, tokenizer=256)
    with pytest.raises(Refused, match="the second file is bad"):
        build_corpus(copy, {"web": failing()}, replace=True)
    assert open_corpus(copy).vocabulary_size == 400
    assert build_corpus(copy, SOURCES, tokenizer=256, replace=True).vocabulary_size == 256
    other = tmp_path / "other"
    other.mkdir()
    assert build_corpus(other, SOURCES, tokenizer=256).path == other
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(Refused, match="exists and is not a corpus"):
        build_corpus(tmp_path / "notes", SOURCES, replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "notes", "other"]


def test_the_old_corpus_stays_when_the_new_one_cannot_take_its_place(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if target == copy and not self.name.endswith(".old"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(Refused, match="cannot be written: No space left on device; make room"):
        build_corpus(copy, SOURCES, tokenizer=256, replace=True)
    assert open_corpus(copy).vocabulary_size == 400
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


@pytest.mark.parametrize("damage", [break_shard, break_manifest, age_manifest])
def test_a_damaged_corpus_may_be_replaced(copy: Path, damage: Callable[[Path], None]) -> None:
    damage(copy)
    build_corpus(copy, SOURCES, tokenizer=256, replace=True).verify()


def test_a_vocabulary_above_two_bytes_takes_four(tmp_path: Path) -> None:
    words = {f"w{number}": number for number in range(70_000)}
    encoder = tokenizers.Tokenizer(tokenizers.models.WordLevel({**words, "</s>": 70_000}, "w0"))
    encoder.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    encoder.save(str(tmp_path / "tokenizer.json"))
    texts: list[str | Skipped] = ["w69999 w1", "w2 w68000"]
    corpus = build_corpus(tmp_path / "corpus", {"web": texts}, load_tokenizer(tmp_path / "tokenizer.json"))
    assert corpus.dtype == "uint32"
    found = [corpus.tokens("web", split).tolist() for split in SPLITS]
    assert sorted(found) == [[2, 68_000, 70_000], [69_999, 1, 70_000]]
