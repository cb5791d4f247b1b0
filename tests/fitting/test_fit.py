"""A run table becomes a law, the same however it is written, or is refused with what it lacks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import write_law
from mixlaw.mixture import Mixture
from mixlaw.runs import check_runs, read_runs
from mixlaw.surfaces.single import common_scale

Planted = Callable[..., pd.DataFrame]


def everything(law: Law) -> np.ndarray:
    """Losses and intervals of a few mixtures, whatever the order of domains and targets."""
    generator = np.random.default_rng(1)
    mixtures = [Mixture(law.domains, tuple(row)) for row in generator.dirichlet(np.ones(len(law.domains)), 5)]
    return law.predict(mixtures).sort_values(["mixture", "target"])[["loss", "low", "high"]].to_numpy()


def test_the_order_of_rows_columns_domains_and_targets_does_not_matter(planted: Planted) -> None:
    frame = planted(runs=20, noise=0.02)
    before = fit(check_runs(frame))
    shuffled = frame.sample(frac=1, random_state=2).sample(frac=1, axis=1, random_state=3)
    after = fit(check_runs(shuffled))
    np.testing.assert_allclose(everything(after), everything(before), atol=1e-9)
    assert after.kind == before.kind and after.diagnostics == before.diagnostics


def test_a_constant_added_to_a_loss_moves_only_its_irreducible_part(planted: Planted) -> None:
    frame = planted(runs=20, noise=0.02)
    before = fit(check_runs(frame), law="exponential").at().law.parameters()
    frame["loss.code"] += 0.7
    after = fit(check_runs(frame), law="exponential").at().law.parameters()
    np.testing.assert_allclose(np.subtract(after["irreducible"], before["irreducible"]), [0.7, 0.0], atol=1e-6)
    np.testing.assert_allclose(after["exponents"], before["exponents"], atol=1e-6)


def test_a_planted_law_is_recovered_to_the_last_digits_of_its_losses(planted: Planted) -> None:
    law = fit(check_runs(planted(runs=24)), law="exponential")
    new = planted(runs=40).iloc[24:]
    mixtures = [Mixture(("web", "code", "books"), tuple(row)) for row in new.filter(like="mix.").to_numpy()]
    found = law.predict(mixtures).pivot(index="mixture", columns="target", values="loss")
    np.testing.assert_allclose(found.loc[[str(n) for n in range(1, 17)], "code"], new["loss.code"], atol=1e-7)


def test_copied_runs_are_counted_once_and_named(planted: Planted) -> None:
    frame = planted(runs=20, noise=0.02)
    copies = frame.assign(run="copy of " + frame["run"])
    twice = fit(check_runs(pd.concat([frame, copies], ignore_index=True)), law="exponential")
    once = fit(check_runs(frame), law="exponential")
    np.testing.assert_allclose(everything(twice), everything(once), atol=1e-12)
    assert any(note.startswith("20 runs copy another") for note in twice.diagnostics.notes)


def test_a_target_measured_on_part_of_the_runs_is_fitted_to_that_part(planted: Planted) -> None:
    frame = planted(runs=30, noise=0.02)
    blanked = frame.copy()
    blanked.loc[:9, "loss.code"] = np.nan
    part = fit(check_runs(blanked), law="exponential")
    alone = fit(check_runs(frame.iloc[10:]), law="exponential", targets=["code"])
    whole = fit(check_runs(frame), law="exponential", targets=["web"])
    assert [target.runs for target in part.diagnostics.targets] == [20, 30]
    mixture = [Mixture.of({"web": 0.3, "code": 0.3, "books": 0.4})]
    both, code, web = (law.predict(mixture)["loss"].to_numpy() for law in (part, alone, whole))
    np.testing.assert_allclose(both[:2], [code[0], web[0]], atol=1e-9)


def test_auto_stores_the_candidates_it_compared_and_a_named_law_compares_none(planted: Planted) -> None:
    chosen = fit(check_runs(planted(runs=24, noise=0.02)))
    assert chosen.kind in [candidate.kind for candidate in chosen.diagnostics.candidates]
    assert fit(check_runs(planted(runs=24, noise=0.02)), law="exponential").diagnostics.candidates == ()


def test_one_scale_is_fitted_alone_and_several_are_carried(planted: Planted) -> None:
    several = ((1_000_000, 10_000_000), (1_000_000, 20_000_000), (4_000_000, 20_000_000))
    assert fit(check_runs(planted(runs=12, noise=0.01)), law="exponential").scale == "none"
    table = check_runs(planted(runs=12, noise=0.01, scales=several))
    law = fit(table, law="exponential", scale="none")
    assert law.evidence.scale == (4_000_000, 20_000_000) and law.evidence.runs == law.evidence.rows == 12
    assert "12 runs used, 12 runs not measured there left out" in law.diagnostics.notes[0]


def test_the_common_scale_is_the_largest_that_nearly_all_mixtures_share(planted: Planted) -> None:
    frame = planted(runs=20, scales=((1_000_000, 10_000_000), (4_000_000, 10_000_000), (4_000_000, 20_000_000)))
    every = check_runs(frame)
    assert common_scale(every)[:2] == (4_000_000, 20_000_000)
    number = frame["run"].str.split("-").str[1].astype(int)
    few = check_runs(frame[(frame["tokens"] < 20_000_000) | (number < 8)])
    assert common_scale(few)[:2] == (4_000_000, 10_000_000)
    most = check_runs(frame[(frame["tokens"] < 20_000_000) | (number < 18)])
    params, tokens, part = common_scale(most)
    assert (params, tokens, len(part)) == (4_000_000, 20_000_000, 18)


def test_token_counts_within_a_hundredth_are_one_scale(planted: Planted) -> None:
    frame = planted(runs=12, noise=0.01)
    frame["tokens"] += np.arange(12) * 5_000
    law = fit(check_runs(frame), law="exponential")
    assert law.scale == "none" and law.evidence.runs == 12


def one_run(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.head(1)


def one_mixture(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{"mix.web": 0.5, "mix.code": 0.25, "mix.books": 0.25})


def unmeasured(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{"loss.code": frame["loss.code"].where(frame.index < 2)})


def by_tokens_alone(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame.assign(**{"loss.code": 3.0}), frame.assign(tokens=2 * 10**7, **{"loss.code": 2.5})])


REFUSED = {
    "one run": (one_run, r"holds one run, '1000000-0'; .* at least 4 different mixtures, .* 24, and 32 .*train more"),
    "one mixture": (one_mixture, "all 24 runs have the same mixture"),
    "three mixtures": (lambda frame: frame.head(3), "3 runs of 3 different mixtures; .* at least 4 different mixtures"),
    "a target hardly measured": (unmeasured, "target 'code' is measured on 2 of 24 mixtures; .*--target web"),
    "a target that never changes": (lambda frame: frame.assign(**{"loss.code": 2.5}), "'code' is 2.5 in every row"),
    "a target that no mixture changes": (by_tokens_alone, r"'code' is 2\.5 in all 24 runs at 1M params and 20M tokens"),
    "no loss": (lambda frame: frame.assign(**{"loss.code": np.nan, "loss.web": np.nan}), "no run has a measured loss"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_runs_that_cannot_support_a_law_are_refused_with_what_is_needed(what: str, planted: Planted) -> None:
    spoil, said = REFUSED[what]
    with pytest.raises(Refused, match=said):
        fit(check_runs(spoil(planted(runs=24, noise=0.02)), source="runs.csv"))


def test_an_unknown_law_scale_or_target_is_refused_with_the_nearest(planted: Planted) -> None:
    table = check_runs(planted(runs=24))
    with pytest.raises(Refused, match="no law is called 'exponentail'; did you mean 'exponential'"):
        fit(table, law="exponentail")
    with pytest.raises(Refused, match="no scale is called 'nesetd'; did you mean 'nested'"):
        fit(table, scale="nesetd")
    with pytest.raises(Refused, match="no target is called 'cod'; did you mean 'code'"):
        fit(table, targets=["cod"])


def test_published_runs_are_fitted_with_errors_near_their_noise(reference: Path) -> None:
    law = fit(read_runs(reference / "three_domains.csv"), law="exponential", scale="none")
    assert len(law.targets) == 3 and law.evidence.runs > 20
    for target in law.diagnostics.targets:
        assert target.rank_correlation is not None and target.rank_correlation > 0.85


def test_where_a_target_never_differs_no_share_of_its_variance_is_claimed(planted: Planted, tmp_path: Path) -> None:
    frame = planted(
        runs=16, noise=0.01, scales=((10**6, 10**7), (10**6, 2 * 10**7), (10**7, 10**7), (10**7, 2 * 10**7))
    )
    large = frame["params"] == 10**7
    frame.loc[large, "loss.code"] = 2.5
    kept = frame[~large | frame["run"].isin([f"10000000-{number}" for number in range(6)])]
    law = fit(check_runs(kept), "exponential", "nested")
    assert [target.r2 is None for target in law.diagnostics.targets] == [True, False]
    write_law(law, tmp_path / "law.json")


def test_losses_made_up_by_a_formula_are_fitted_and_called_no_too_narrow(planted: Planted) -> None:
    frame = planted(runs=20)
    frame = frame.assign(**{"loss.web": 2 + frame["mix.web"], "loss.code": 3 - frame["mix.code"]})
    found = fit(check_runs(frame), "linear").diagnostics.targets
    assert all(target.noise < 1e-6 and target.stretch is not None and target.stretch < 1.5 for target in found)


@pytest.mark.parametrize(("times", "said"), [(30.0, None), (1e4, "perplexity, not nats.*--unit perplexity")])
def test_perplexities_are_told_from_losses(
    planted: Callable[..., pd.DataFrame], times: float, said: str | None
) -> None:
    frame = planted(12, 0.01)
    frame[[name for name in frame if name.startswith("loss.")]] *= times
    table = check_runs(frame)
    if said is not None:
        with pytest.raises(Refused, match=said):
            fit(table)
    else:
        assert any("perplexity, not nats?" in note for note in fit(table).diagnostics.notes)
