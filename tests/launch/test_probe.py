"""The removal probe compares what it says it does, on one base run a seed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.launch.probe import probe, throughout, without
from mixlaw.launch.roster import full_runs
from mixlaw.mixture import Mixture
from mixlaw.plan import Plan, Stage
from mixlaw.train import members
from mixlaw.train.records import read_records

GROUPS = ("large", "small", "specific", "code")
BASE = Mixture.of(dict(zip(GROUPS, (0.3435, 0.3670, 0.0717, 0.2178), strict=True)))
UPSAMPLED = Mixture.of(dict(zip(GROUPS, (0.0, 0.30, 0.35, 0.35), strict=True)))


def test_what_both_phases_read_is_what_the_published_table_says() -> None:
    """Of 1000 billion tokens, 71.7 x 0.8 + 70 = 127.36 are domain-specific (Blakeney et al. 2024, table of mixes)."""
    total = throughout(BASE, [members.Stage(0.2, UPSAMPLED)])
    assert 1000 * total.as_dict()["specific"] == pytest.approx(127.36)
    assert 1000 * total.as_dict()["large"] == pytest.approx(343.5 * 0.8)
    assert throughout(BASE, [members.Stage(0.0, UPSAMPLED)]).proportions == pytest.approx(BASE.proportions)
    three = throughout(BASE, [members.Stage(0.5, UPSAMPLED), members.Stage(0.1, BASE)])
    assert three.as_dict()["code"] == pytest.approx(0.6 * 0.2178 + 0.4 * 0.35)


def test_leaving_a_domain_out_keeps_the_ratios_of_the_others() -> None:
    found = without(UPSAMPLED, "code").as_dict()
    assert found["code"] == 0
    assert found["small"] / found["specific"] == pytest.approx(30 / 35)
    assert sum(found.values()) == pytest.approx(1)
    with pytest.raises(Refused, match="no domain of the final mixture is called 'large'"):
        without(UPSAMPLED, "large")
    with pytest.raises(Refused, match="'small' alone, which cannot be left out"):
        without(Mixture(GROUPS, (0.0, 1.0, 0.0, 0.0)), "small")


@pytest.fixture
def late(plan_of: Callable[..., Plan], tmp_path: Path) -> Plan:
    (tmp_path / "final.json").write_text('{"prose": 0.5, "digits": 0.5}')
    return plan_of().model_copy(update={"name": "late", "stages": (Stage(last=0.25, mixture="final.json"),)})


def test_a_probe_trains_one_base_a_seed_and_compares_every_final_phase(late: Plan, tmp_path: Path) -> None:
    base = Mixture.uniform(("digits", "marks", "prose"))
    watched: list[str] = []
    found = probe(late, base, (0, 1), lambda what: watched.append(what) or (lambda _: None), workers=1)
    assert found["way"].tolist() == [
        "switched",
        "never switched",
        "mixed throughout",
        "without digits",
        "without prose",
    ]
    assert found["runs"].tolist() == [2] * 5 and found["difference"].iloc[0] == 0
    assert watched == ["2 runs that others branch from", "10 runs of the probe"]
    assert len(list((tmp_path / "checkpoints").glob("base-*.safetensors"))) == 2
    assert found["weighted"].tolist() == found["loss.prose"].tolist(), "the plan weighs prose alone"
    assert np.ptp(found["loss.prose"]) > 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "probe.csv"), found, rtol=1e-12)
    moved = read_records(tmp_path / "runs").weights
    assert moved["late-0.05M-seed0"][15] == {**moved["late-without-prose-0.05M-seed0"][15], "run": "late-0.05M-seed0"}
    assert moved["late-without-prose-0.05M-seed0"][16]["mix.prose"] == 0
    again = probe(late, base, (0, 1), lambda what: lambda _: None, workers=1)
    pd.testing.assert_frame_equal(again, found)


def test_the_run_that_never_switched_is_the_uninterrupted_one(late: Plan, tmp_path: Path) -> None:
    base = Mixture.uniform(("digits", "marks", "prose"))
    found = probe(late, base, (0,), lambda what: lambda _: None, removed=("prose",), workers=1)
    plain = late.model_copy(update={"stages": ()})
    from mixlaw.launch.swarm import train_full

    table = train_full(plain, {"plain": base}, tmp_path / "plain", seeds=(0,), workers=1).frame
    assert found.loc[1, "loss.prose"] == table["loss.prose"].iloc[-1]
    assert [member.moves for member in full_runs(plain, {"plain": base}, (0,))] == [False]


def test_a_probe_of_a_plan_without_one_final_phase_is_refused(plan_of: Callable[..., Plan]) -> None:
    with pytest.raises(Refused, match="the plan has 0 stages; a probe needs one"):
        probe(plan_of(), Mixture.uniform(("digits", "marks", "prose")), (0,), lambda what: lambda _: None)
