"""`mixlaw corpus`: text to tokenised domains."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mixlaw.cli.screen import screen
from mixlaw.corpus.build import build_corpus, check_out
from mixlaw.corpus.builtin import builtin_domains
from mixlaw.corpus.readers import KINDS, Skipped, read_documents
from mixlaw.corpus.shards import Corpus
from mixlaw.corpus.spool import reasons
from mixlaw.corpus.tokenizer import load_tokenizer
from mixlaw.errors import Refused, one_of
from mixlaw.files import to_json
from mixlaw.wording import in_words

NAME = "corpus"
TEXT = "text"
"""What the field with the text is called, unless it is said."""

ENOUGH_TO_MEASURE = 1 << 14
"""Validation tokens below which the noise of a measured loss deserves a word."""


def run(
    out: Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)],
    domains: Annotated[
        list[str] | None,
        typer.Argument(help=f"A domain and its text: file or folder of {' '.join(KINDS)}.", metavar="NAME=PATH..."),
    ] = None,
    builtin: Annotated[bool, typer.Option("--builtin", help="Domains from the packages installed here.")] = False,
    megabytes: Annotated[float, typer.Option(help="Most text of a built-in domain, in millions of bytes.")] = 4.0,
    text_field: Annotated[
        list[str] | None,
        typer.Option(
            help="Field of JSON lines or column of parquet with the text; DOMAIN=FIELD for one domain; repeatable.",
            show_default=TEXT,
        ),
    ] = None,
    vocabulary: Annotated[int, typer.Option(help="Tokens of the byte-level BPE to train; 256 is bytes.")] = 4096,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Use this tokenizer.json or Hugging Face folder instead.", show_default=False)
    ] = None,
    end_of_document: Annotated[
        str | None, typer.Option(help="With --tokenizer: the token that ends a document.", show_default=False)
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of each domain to hold out; small ones give more.")] = 0.05,
    force: Annotated[bool, typer.Option("--force", help="Replace a corpus that is there already.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Turn text into tokenised domains: training and held-out shards, and a manifest.

    Example: mixlaw corpus corpus web=crawl.jsonl.zst code=code.parquet books=books/
    """
    check_out(out, force)
    if megabytes <= 0:
        raise Refused(f"--megabytes {megabytes:g} leaves no text; ask for more than 0")
    paths = read_sources(domains or [])
    fields = read_fields(text_field or [], tuple(paths))
    sources: dict[str, Iterable[str | Skipped]] = dict(builtin_domains(round(megabytes * 1e6))) if builtin else {}
    for name, path in paths.items():
        if name in sources:
            raise Refused(f"'{name}' is the name of a built-in domain too; give yours another")
        sources[name] = read_documents(path, fields[name])
    given = None if tokenizer is None else load_tokenizer(tokenizer, end_of_document)
    console = Console(stderr=True, highlight=False)
    with _progress(console) as progress:
        task = progress.add_task("starting", total=None)
        corpus = build_corpus(
            out,
            sources,
            tokenizer=vocabulary if given is None else given,
            validation=validation,
            replace=force,
            notice=lambda doing, done, total: progress.update(task, description=doing, completed=done, total=total),
        )
    if json:
        print(to_json(summary(corpus)), end="")
    else:
        _describe(screen(), corpus)


def read_sources(given: Iterable[str]) -> dict[str, Path]:
    """Read `NAME=PATH` arguments.

    Raises:
        Refused: for an argument that is not of this form, a name given twice, or a path that does not exist.
    """
    paths: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise Refused(f"'{text}' is not NAME=PATH; {_wanted(name, equals, path)}")
        if name in paths:
            raise Refused(f"domain '{name}' is given twice; put its files in one folder, or give them two names")
        if not Path(path).exists():
            raise Refused(f"'{name}': {path} does not exist; check the path")
        paths[name] = Path(path)
    return paths


def read_fields(given: Sequence[str], domains: Sequence[str]) -> dict[str, str]:
    """Read `--text-field` arguments, `FIELD` for all domains or `DOMAIN=FIELD` for one, as domain -> field.

    Raises:
        Refused: for a domain that is not among `domains`, or two fields for the same.
    """
    shared = [text for text in given if "=" not in text]
    if len(shared) > 1:
        raise Refused(
            f"--text-field {' and --text-field '.join(shared)} are each for all domains; write, say, "
            f"--text-field {domains[-1] if domains else 'web'}={shared[-1]} for one"
        )
    own: dict[str, str] = {}
    for text in given:
        name, equals, field = text.rpartition("=")
        if not equals:
            continue
        if one_of(name, domains, "domain of --text-field") in own:
            raise Refused(f"--text-field {name}= is given twice; keep one")
        own[name] = field
    return dict.fromkeys(domains, shared[0] if shared else TEXT) | own


def _wanted(name: str, equals: str, path: str) -> str:
    """What is lacking in an argument, and how it would look."""
    if not equals:
        return f"write, say, {Path(name).stem or 'web'}={name or 'web.jsonl'}"
    if not name:
        return f"the name of the domain is lacking: write, say, {Path(path).stem or 'web'}={path or 'web.jsonl'}"
    return f"the path is lacking: write, say, {name}={name}.jsonl"


def summary(corpus: Corpus) -> dict[str, object]:
    """What a corpus holds, by domain."""
    train, held_out = corpus.shards["train"], corpus.shards["validation"]
    return {
        "vocabulary_size": corpus.vocabulary_size,
        "domains": {
            name: {
                "documents": train[name].documents + held_out[name].documents,
                "bytes": train[name].bytes + held_out[name].bytes,
                "train_tokens": train[name].tokens,
                "validation_tokens": held_out[name].tokens,
                "bytes_per_token": corpus.bytes_per_token[name],
                "duplicates": corpus.duplicates[name],
                "skipped": dict(corpus.skipped[name]),
            }
            for name in corpus.domains
        },
    }


def _progress(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _describe(console: Console, corpus: Corpus) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("domain")
    for heading in ("documents", "MB", "training tokens", "held-out tokens", "bytes a token", "duplicates", "skipped"):
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    train, held_out = corpus.shards["train"], corpus.shards["validation"]
    for name in corpus.domains:
        parts = (train[name], held_out[name])
        table.add_row(
            name,
            str(sum(part.documents for part in parts)),
            f"{sum(part.bytes for part in parts) / 1e6:.2f}",
            in_words(train[name].tokens),
            in_words(held_out[name].tokens),
            f"{corpus.bytes_per_token[name]:.2f}",
            str(corpus.duplicates[name]),
            str(sum(corpus.skipped[name].values())),
        )
    console.print(table)
    for name in corpus.domains:
        if corpus.skipped[name]:
            console.print(f"note: '{name}' {reasons(corpus.skipped[name])}")
        if held_out[name].tokens < ENOUGH_TO_MEASURE:
            console.print(
                f"note: '{name}' holds out {held_out[name].tokens} tokens: its losses will be noisy; add "
                f"text or raise --validation",
            )
    console.print(f"{corpus.path}: vocabulary of {corpus.vocabulary_size}, {corpus.dtype}")
    console.print(
        f'Next: write a plan with [corpus] path = "{corpus.path}", then mixlaw sample plan.toml -o mixtures.csv',
    )
