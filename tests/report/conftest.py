"""A study whose proxies measured a known law, solved and run in full where the law says."""

import json
from collections.abc import Callable

import pandas as pd
import pytest

from mixlaw.fitting.law_file import write_law
from mixlaw.optimize.optimum import write_optimum
from mixlaw.runs import check_runs, write_runs
from mixlaw.study import Study, open_study, solve

Planted = Callable[..., pd.DataFrame]
PLAN = """
name = "Planted <study>"
[corpus]
path = "corpus"
targets = ["code", "web"]
[proxies]
sizes = ["0.03M", "0.1M"]
tokens = [100_000, 200_000]
[target]
size = "0.2M"
tokens = 400_000
[weights]
web = 2
code = 1
"""


def shard(tokens: int) -> dict[str, object]:
    return {"file": "x", "documents": 1, "bytes": tokens, "tokens": tokens, "sha256": ""}


def manifest() -> dict[str, object]:
    empty: dict[str, object] = {"duplicates": 0, "skipped": {}}
    domains = {name: {"train": shard(10**6), "validation": shard(10**4)} | empty for name in ("books", "code", "web")}
    tokenizer = {"vocabulary_size": 256, "end_of_document": 0, "sha256": ""}
    return {"format": "mixlaw corpus 1", "dtype": "uint16", "tokenizer": tokenizer, "domains": domains}


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Study:
    """A study whose proxies measured a known law, solved, and run in full where the law says."""
    tmp_path = tmp_path_factory.mktemp("study")
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "corpus.json").write_text(json.dumps(manifest()))
    scales = ((26_784, 100_000), (26_784, 200_000), (94_528, 100_000), (94_528, 200_000))
    write_runs(check_runs(planted(runs=20, noise=0.003, scales=scales)), tmp_path / "runs.csv")
    law, optimum = solve(open_study(tmp_path))
    write_law(law, tmp_path / "law.json")
    write_optimum(optimum, tmp_path / "optimum.json")
    solved = open_study(tmp_path)
    params, tokens = solved.target_scale
    rows = []
    for name, mixture in solved.compared.items():
        losses = law.at(params, tokens).law.predict(mixture.aligned(law.domains)[None])[0]
        for seed in range(2):
            row = {"run": f"{name}-{seed}", "group": name, "params": params, "tokens": tokens, "seed": seed}
            row |= {f"mix.{domain}": share for domain, share in mixture.as_dict().items()}
            rows.append(row | {f"loss.{t}": loss + 0.01 * seed for t, loss in zip(law.targets, losses, strict=True)})
    write_runs(check_runs(pd.DataFrame(rows)), tmp_path / "full_runs.csv")
    return open_study(tmp_path)
