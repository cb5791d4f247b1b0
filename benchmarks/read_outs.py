"""Read-outs of an averaged constant-rate run beside runs that were decayed to the same token counts.

    python benchmarks/read_outs.py CORPUS

A law of tokens needs losses at several counts. One run of constant rate gives all of them, if the average of its
weights is worth a decay; a decay gives one a run. This trains both, by the path of `mixlaw train`, at two sizes, and
prints read-out minus decay over mixtures, seeds and targets: its mean, its deviation, and the deviation between seeds
that either is to be held against. Writes benchmarks/results/read_outs.md.
"""

import sys
from typing import Any

import numpy as np
import torch
from reference import markdown, write_results

from mixlaw.corpus.shards import Corpus, open_corpus
from mixlaw.design import sample
from mixlaw.mixture import Array, Mixture
from mixlaw.plan import Training
from mixlaw.train.device import compute_of
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting

SIZES, TOKENS, MIXTURES, SEEDS = ("0.03M", "0.1M"), (102_400, 204_800, 409_600), 3, (0, 1)


class Rows:
    """Reports, kept."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def measured(self, row: dict[str, Any]) -> None:
        """Keep a row."""
        self.rows.append(row)

    def failed(self, run: str, reason: str) -> None:
        """No run here may fail."""
        sys.exit(f"{run}: {reason}")

    def trained(self, tokens: int) -> None:
        """Nobody watches."""


def losses(corpus: Corpus, size: str, schedule: str, tokens: tuple[int, ...]) -> Array:
    """(mixtures, seeds, tokens, targets)."""
    training = Training(batch_tokens=1024, learning_rate=8e-3, evaluation_tokens=8192, device="cpu", schedule=schedule)
    setting = Setting(corpus.path, "", corpus.domains, corpus.domains, {}, training)
    mixtures = sample(corpus.domains, MIXTURES, natural=Mixture.natural(corpus.train_tokens))
    found = []
    for name, mixture in mixtures.items():
        for seed in SEEDS:
            heard = Rows()
            member = Member(name, name, mixture, size, tokens, seed)
            PackRun([member], setting, corpus, compute_of(training), heard).train()
            found.append([[row[f"loss.{domain}"] for domain in corpus.domains] for row in heard.rows])
    return np.array(found).reshape(len(mixtures), len(SEEDS), len(tokens), len(corpus.domains))


def main() -> None:
    """Train, compare and print."""
    torch.set_num_threads(1)
    corpus = open_corpus(sys.argv[1])
    rows = []
    for size in SIZES:
        read_outs = losses(corpus, size, "constant", TOKENS)
        decayed = np.concatenate([losses(corpus, size, "wsd", (count,)) for count in TOKENS], axis=2)
        difference = read_outs - decayed
        for place, count in enumerate(TOKENS):
            noise = [found[:, :, place].std(axis=1, ddof=1) for found in (read_outs, decayed)]
            numbers = (difference[:, :, place].mean(), difference[:, :, place].std())
            rows.append([size, str(count), *numbers, *(float(np.sqrt((part**2).mean())) for part in noise)])
            print(*rows[-1], flush=True)
    header = ["size", "tokens", "read-out - decay", "deviation", "seeds, read-outs", "seeds, decays"]
    text = "nats per token, over mixtures, seeds and targets"
    print(text, markdown(header, rows), sep="\n\n")
    write_results("read_outs.md", [text, markdown(header, rows)])


if __name__ == "__main__":
    main()
