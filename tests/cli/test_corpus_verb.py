"""`mixlaw corpus` as people run it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notes, one of them binary, and a file of pages with the text under another name."""
    monkeypatch.chdir(tmp_path)
    Path("notes").mkdir()
    for number in range(40):
        Path(f"notes/{number}.md").write_text(f"# Note {number}\n\n" + f"Thought {number}. " * 30)
    Path("notes/picture.md").write_bytes(b"\x89PNG\0\0")
    pages = [{"content": f"Page {number % 45} " * 40} for number in range(50)]
    Path("pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
    return tmp_path


def run(*words: str) -> tuple[str, str]:
    """stdout and stderr of a command that does not refuse."""
    answer = CliRunner().invoke(app, ["corpus", *words], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout, answer.stderr


def test_it_ends_with_what_was_made_and_the_next_verb(folder: Path) -> None:
    out, _ = run("out", "notes=notes", "pages=pages.jsonl", "--text-field", "content", "--vocabulary", "300")
    corpus = open_corpus("out")
    assert corpus.domains == ("notes", "pages") and corpus.vocabulary_size == 300
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert (rows["notes"][0], rows["notes"][-2:]) == ("40", ["0", "1"])
    assert (rows["pages"][0], rows["pages"][-2:]) == ("45", ["5", "0"])
    assert "'notes' skipped files binary: 1" in out and "'pages' holds out" in out
    assert 'Next: write a plan with [corpus] path = "out", then mixlaw sample plan.toml' in out


def test_json_holds_the_numbers_of_the_corpus(folder: Path) -> None:
    out, _ = run("out", "notes=notes", "--vocabulary", "256", "--json")
    content = json.loads(out)["domains"]["notes"]
    corpus = open_corpus("out")
    assert content["train_tokens"] == corpus.train_tokens["notes"] and content["documents"] == 40
    assert content["skipped"] == {"files binary": 1} and 0.9 < content["bytes_per_token"] < 1


def test_the_tokenizer_of_one_corpus_serves_another(folder: Path) -> None:
    run("first", "notes=notes", "--vocabulary", "300")
    run("second", "pages=pages.jsonl", "--text-field=content", "--tokenizer", "first")
    assert open_corpus("first").tokenizer_sha256 == open_corpus("second").tokenizer_sha256


def test_domains_may_call_the_field_with_their_text_each_by_its_own_name(folder: Path) -> None:
    Path("forum.jsonl").write_text("".join(json.dumps({"body": f"Post {n} " * 40}) + "\n" for n in range(50)))
    Path("plain.jsonl").write_text("".join(json.dumps({"text": f"Line {n} " * 40}) + "\n" for n in range(50)))
    sources = [f"{name}={name}.jsonl" for name in ("pages", "forum", "plain")]
    out, _ = run("out", *sources, "--text-field", "pages=content", "--text-field", "forum=body", "--vocabulary", "256")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if line}
    assert (rows["pages"], rows["forum"], rows["plain"]) == ("45", "50", "50")


def test_builtin_domains_stand_beside_ones_own(folder: Path) -> None:
    run("out", "notes=notes", "--builtin", "--megabytes", "0.02", "--vocabulary", "256")
    assert {"notes", "python", "cpp", "legal", "docstrings"} < set(open_corpus("out").domains)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("notes", r"'notes' is not NAME=PATH; write, say, notes=notes"),
        ("=notes", "is not NAME=PATH"),
        ("notes=notes --text-field a --text-field b", "are each for all domains; write, say, --text-field notes=b"),
        ("notes=notes --text-field note=b", "no domain of --text-field is called 'note'; did you mean 'notes'"),
        ("pages=pages.jsonl", "has no field 'text'; it has: content; .* --text-field DOMAIN=FIELD"),
        ("notes=", "is not NAME=PATH"),
        ("notes=nowhere.txt", "'notes': nowhere.txt does not exist"),
        ("notes=notes notes=pages.jsonl", "domain 'notes' is given twice"),
        ("my/notes=notes", "'my/notes' cannot name a domain"),
        ("pages=pages.jsonl", "pages.jsonl has no field 'text'; it has: content"),
        ("notes=notes/picture.md", r"'notes' has no document \(skipped files binary: 1\)"),
        ("notes=notes/1.md", "has one document"),
        ("notes=notes again=notes", r"'again' has no document \(skipped duplicates: 40, files binary: 1\)"),
        ("notes=notes --vocabulary 20", "vocabulary of 20"),
        ("notes=notes --validation 0", "share of 0"),
        ("notes=notes --tokenizer nowhere", "nowhere does not exist"),
        ("python=notes --builtin", "'python' is the name of a built-in domain too"),
        ("--builtin --megabytes 0", "leaves no text"),
        ("", "at least one domain; give NAME=PATH or --builtin"),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_written(folder: Path, words: str, message: str) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(Refused, match=message):
        CliRunner().invoke(app, ["corpus", "out", *words.split()], catch_exceptions=False)
    assert sorted(folder.iterdir()) == before


def test_a_corpus_is_replaced_only_by_force(folder: Path) -> None:
    run("out", "notes=notes", "--vocabulary", "256")
    with pytest.raises(Refused, match="out is a corpus already"):
        run("out", "notes=notes", "--vocabulary", "280")
    run("out", "notes=notes", "--vocabulary", "280", "--force")
    assert open_corpus("out").vocabulary_size == 280
