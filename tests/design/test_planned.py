"""What a plan's proxies may train on, and what they do."""

from pathlib import Path

import numpy as np
import pytest

from mixlaw.design.planned import planned, planned_tokens, proxy_limits, target_limits
from mixlaw.errors import Refused
from mixlaw.plan import Plan

TOKENS = {"books": 2e6, "code": 10e6, "web": 100e6}


def plan(tmp_path: Path, corpus: dict | None = None, **design: object) -> Plan:
    return Plan.model_validate(
        {
            "name": "test",
            "seed": 3,
            "corpus": {"path": "corpus", **(corpus or {})},
            "design": {"mixtures": 12, **design},
            "proxies": {"sizes": ["0.1M"], "tokens": [1_000_000, 10_000_000]},
            "target": {"size": "1M", "tokens": 100_000_000, "max_epochs": 4},
            "folder": tmp_path,
        }
    )


def test_a_proxy_may_pass_the_targets_cap_but_not_its_number_of_epochs(tmp_path: Path) -> None:
    asked = plan(tmp_path)
    assert target_limits(asked, TOKENS).cap == pytest.approx([0.08, 0.4, 1])
    assert proxy_limits(asked, TOKENS).cap == pytest.approx([0.8, 1, 1])
    found = np.array([mixture.proportions for mixture in planned(asked, TOKENS).values()])
    assert 0.08 < found[:, 0].max() <= 0.8


def test_with_matched_epochs_a_proxy_keeps_to_the_targets_cap(tmp_path: Path) -> None:
    asked = plan(tmp_path)
    matched = asked.model_copy(update={"proxies": asked.proxies.model_copy(update={"match_epochs": True})})
    assert proxy_limits(matched, TOKENS).cap == pytest.approx(target_limits(asked, TOKENS).cap)


def test_caps_and_floors_of_the_plan_hold_for_every_proxy(tmp_path: Path) -> None:
    found = planned(plan(tmp_path, caps={"code": 0.3}, floors={"web": 0.1}), TOKENS)
    found = {name: mixture.as_dict() for name, mixture in found.items()}
    assert max(mixture["code"] for mixture in found.values()) <= 0.3
    assert min(mixture["web"] for mixture in found.values()) >= 0.1


def test_natural_follows_the_tokens_that_the_study_may_use(tmp_path: Path) -> None:
    corpus = {"domains": ["web", "code"], "available_tokens": {"web": 30_000_000}}
    asked = plan(tmp_path, corpus)
    assert planned_tokens(asked, TOKENS) == {"web": 30e6, "code": 10e6}
    assert planned(asked, TOKENS)["natural"].as_dict() == {"web": 0.75, "code": 0.25}


def test_a_mixtures_file_is_used_as_it_is_in_the_order_of_the_domains(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("name,web,code\nfirst,0.5,0.5\nsecond,1,0\n")
    found = planned(plan(tmp_path, file="m.csv"), TOKENS)
    assert found["first"].as_dict() == {"books": 0, "code": 0.5, "web": 0.5} and list(found) == ["first", "second"]


def test_a_mixtures_file_with_an_unknown_domain_is_refused_by_row(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("name,web,cod\nfirst,0.5,0.5\n")
    with pytest.raises(Refused, match=r"m\.csv: 'first': no domain is called 'cod'; did you mean 'code'"):
        planned(plan(tmp_path, file="m.csv"), TOKENS)


def test_a_domain_the_corpus_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no domain of the corpus is called 'wbe'; did you mean 'web'"):
        planned(plan(tmp_path, {"domains": ["wbe", "code"]}), TOKENS)
