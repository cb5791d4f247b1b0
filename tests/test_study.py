"""A study may pin a domain: its law holds there, its optimum keeps it there, and nothing else is said."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.conduct import conduct
from mixlaw.errors import Refused
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import write_law
from mixlaw.mixture import Mixture
from mixlaw.optimize.optimum import Optimum, write_optimum
from mixlaw.report.study import study_page
from mixlaw.runs import check_runs, write_runs
from mixlaw.study import Study, open_study, solve

Planted = Callable[..., pd.DataFrame]
SHARE = 0.05
PLAN = """
name = "Pinned"
[corpus]
path = "corpus"
targets = ["code", "web"]
[design]
mixtures = 12
floors = { maths = 0.05 }
caps = { maths = 0.05 }
[proxies]
sizes = ["0.03M"]
tokens = [200_000]
[target]
size = "0.03M"
tokens = 200_000
"""


def shard(tokens: int) -> dict[str, object]:
    return {"file": "x", "documents": 1, "bytes": tokens, "tokens": tokens, "sha256": ""}


def prepared(folder: Path, runs: pd.DataFrame, plan: str = PLAN) -> Study:
    empty: dict[str, object] = {"duplicates": 0, "skipped": {}}
    names = ("books", "code", "maths", "web")
    domains = {name: {"train": shard(10**6), "validation": shard(10**4)} | empty for name in names}
    tokenizer = {"vocabulary_size": 256, "end_of_document": 0, "sha256": ""}
    manifest = {"format": "mixlaw corpus 1", "dtype": "uint16", "tokenizer": tokenizer, "domains": domains}
    (folder / "corpus.json").write_text(json.dumps(manifest))
    (folder / "plan.toml").write_text(plan)
    write_runs(check_runs(runs), folder / "runs.csv")
    return open_study(folder)


@pytest.fixture(scope="module")
def runs(planted: Planted) -> pd.DataFrame:
    """Runs of which every one has the same of maths, as near as logs of 1,600 sequences are."""
    frame = planted(runs=16, noise=0.003, scales=((26_784, 200_000),))
    share = SHARE + np.random.default_rng(0).integers(-1, 2, len(frame)) / 1600
    for name in ("web", "code", "books"):
        frame[f"mix.{name}"] *= 1 - share
    return frame.assign(**{"mix.maths": share})


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory, runs: pd.DataFrame) -> tuple[Study, Law, Optimum]:
    """The study of those runs, and what follows from them."""
    study = prepared(tmp_path_factory.mktemp("pinned"), runs)
    return study, *solve(study)


def test_the_law_and_the_optimum_of_a_study_keep_a_pinned_domain_where_it_was(
    pinned: tuple[Study, Law, Optimum],
) -> None:
    study, law, optimum = pinned
    assert study.fixed == pytest.approx({"maths": SHARE})
    assert law.fixed == pytest.approx({"maths": SHARE}, abs=1e-3)
    assert optimum.certified and optimum.mixture.as_dict()["maths"] == pytest.approx(SHARE, abs=1e-3)


def test_a_domain_that_the_plan_varies_and_the_runs_do_not_is_still_refused(tmp_path: Path, runs: pd.DataFrame) -> None:
    varied = PLAN.replace("floors = { maths = 0.05 }", "").replace("caps = { maths = 0.05 }", "")
    same = runs.assign(**{"mix.web": runs["mix.web"] + runs["mix.maths"] - SHARE, "mix.maths": SHARE})
    study = prepared(tmp_path, same, varied)
    assert study.fixed == {}
    with pytest.raises(Refused, match=r"'maths' is 0\.05 in all 16 runs"):
        solve(study)


def untorn(page: str) -> str:
    """The page without the marks that hold a flag together."""
    return page.replace("<span>", "").replace("</span>", "")


def test_the_page_of_a_study_with_a_pinned_domain_predicts_only_what_its_law_knows(
    tmp_path: Path, runs: pd.DataFrame, pinned: tuple[Study, Law, Optimum]
) -> None:
    study = prepared(tmp_path, runs)
    assert "mixlaw fit runs.csv --fixed maths -o law.json" in untorn(study_page(study))
    _, law, optimum = pinned
    write_law(law, tmp_path / "law.json")
    write_optimum(optimum, tmp_path / "optimum.json")
    full = [run_in_full(name, mixture) for name, mixture in open_study(tmp_path).compared.items()]
    write_runs(check_runs(pd.DataFrame(full)), tmp_path / "full_runs.csv")
    study = open_study(tmp_path)
    assert [outcome.name for outcome in study.outcomes] == ["optimum"]
    page = study_page(study)
    assert "mixlaw fit runs.csv --fixed maths -o law.json" in untorn(page)
    assert "Other full runs" in page and "held where" not in page


def run_in_full(name: str, mixture: Mixture) -> dict[str, object]:
    row: dict[str, object] = {"run": name, "group": name, "params": 26_784, "tokens": 200_000}
    row |= {f"mix.{domain}": share for domain, share in mixture.as_dict().items()}
    return row | {"loss.code": 3.0, "loss.web": 3.1}


@pytest.mark.parametrize(("size", "trained"), [("0.03M", ("natural",)), ("0.1M", ("natural", "optimum"))])
def test_a_law_of_one_scale_predicts_full_runs_of_that_scale_alone(
    tmp_path: Path, planted: Planted, size: str, trained: tuple[str, ...]
) -> None:
    free = PLAN.replace("floors = { maths = 0.05 }", "").replace("caps = { maths = 0.05 }", "")
    runs = planted(runs=16, noise=0.003, scales=((26_784, 200_000),)).assign(**{"mix.maths": 0.0})
    runs["mix.maths"], runs["mix.web"] = runs["mix.web"] / 2, runs["mix.web"] / 2
    study = prepared(tmp_path, runs, free.replace("0.03M", size).replace('["0.1M"]', '["0.03M"]'))
    law, optimum = solve(study)
    write_law(law, tmp_path / "law.json")
    write_optimum(optimum, tmp_path / "optimum.json")
    compared = open_study(tmp_path).compared
    full = pd.DataFrame([run_in_full(name, compared[name]) for name in trained])
    write_runs(check_runs(full.assign(params=round(study.target_scale[0]))), tmp_path / "full_runs.csv")
    study = open_study(tmp_path)
    assert {outcome.name for outcome in study.outcomes} == (set() if size == "0.1M" else {*trained})
    page = study_page(study)
    assert ("What came out" in page) == (size == "0.03M") and (">Full runs<" in page) == (size == "0.1M")
    assert ("has not been trained in full yet" in page) == ("optimum" not in trained)


def test_a_pinned_domain_that_the_target_may_not_have_is_refused_before_anything_is_trained(
    tmp_path: Path, tiny_corpus: Path
) -> None:
    pinned = PLAN.replace('path = "corpus"\ntargets = ["code", "web"]', f'path = "{tiny_corpus}"').replace(
        "maths", "marks"
    )
    scarce = pinned.replace("[design]", "available_tokens = { marks = 2000 }\n[design]").replace("0.05", "0.08")
    (tmp_path / "plan.toml").write_text(scarce.replace("[200_000]", "[50_000]"))
    trained: list[str] = []
    with pytest.raises(Refused, match=r"'marks' is allowed between 0 and 0\.04, but held at 0\.08, the same in every"):
        conduct(tmp_path, lambda title: trained.append(title) or (lambda tally: None))
    assert not trained
