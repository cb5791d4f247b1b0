"""The committed studies hold: law, optimum and what is said of them still follow from their run tables."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mixlaw.fitting.fit import fit
from mixlaw.laws.reciprocal import Reciprocal
from mixlaw.limits import Limits
from mixlaw.mixture import read_mixture
from mixlaw.optimize.critical import critical
from mixlaw.optimize.schedule import schedule
from mixlaw.runs import read_runs
from mixlaw.study import Study, open_study, solve
from mixlaw.surfaces.pooled import Pooled
from mixlaw.weights import weights_of

ROOT = Path(__file__).parents[1]
STUDIES = sorted(path.parent for path in ROOT.glob("runs/*/runs.csv"))


@pytest.fixture(scope="module", params=STUDIES, ids=lambda path: path.name)
def study(request: pytest.FixtureRequest) -> Study:
    return open_study(request.param)


def test_there_is_a_study_of_our_own() -> None:
    assert STUDIES


def test_the_law_and_the_optimum_follow_from_the_run_table(study: Study) -> None:
    if study.law is None or study.optimum is None:
        pytest.skip("a study without an optimum")
    law, optimum = solve(study)
    params, tokens = study.target_scale
    again, kept = (
        found.predict(study.mixtures, params=params, tokens=tokens)[["loss", "low", "high"]]
        for found in (law, study.law)
    )
    np.testing.assert_allclose(again, kept, atol=1e-7)
    assert optimum.certified and optimum.loss == pytest.approx(study.optimum.loss, abs=1e-7)
    assert optimum.mixture.as_dict() == pytest.approx(study.optimum.mixture.as_dict(), abs=1e-4)


def test_the_optimum_keeps_to_the_limits_of_the_plan(study: Study) -> None:
    if study.optimum is None:
        pytest.skip("a study without an optimum")
    limits: Limits = study.limits
    chosen = study.optimum.mixture.aligned(study.domains)
    assert (chosen <= limits.cap + 1e-9).all() and (chosen >= limits.floor - 1e-9).all()
    assert study.optimum.gap is not None and study.optimum.gap <= 1e-6


def test_the_mixtures_trained_in_full_are_those_that_were_to_be_compared(study: Study) -> None:
    if study.full_runs is None or not study.compared:
        pytest.skip("a study without full runs")
    trained = study.full_runs.last()
    for name, proportions in zip(trained.frame["group"], trained.proportions, strict=True):
        if name in study.compared:
            asked = study.compared[name].aligned(trained.domains)
            np.testing.assert_allclose(proportions, asked, atol=2 / (study.plan.target.tokens / 128))


def test_a_study_holds_small_text_only(study: Study) -> None:
    for path in study.folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 2_000_000, path
            path.read_text(encoding="utf-8")


def test_a_study_says_how_it_was_made_and_on_what(study: Study) -> None:
    page = study.folder / "README.md"
    assert "mixlaw" in page.read_text()
    manifest = json.loads((study.folder / "corpus.json").read_text())
    assert set(study.domains) <= set(manifest["domains"])


def test_the_table_of_the_repetition_study_is_what_its_runs_measured() -> None:
    folder = ROOT / "runs" / "repetition-fresh"
    rows = [line.strip("| ").replace("*", "").split(" | ") for line in (folder / "README.md").read_text().splitlines()]
    written = np.array([[float(cell) for cell in row] for row in rows if row[0][:2] == "0."])
    found = []
    for table in (folder / "runs.csv", folder.with_name("repetition-matched") / "runs.csv", folder / "full_runs.csv"):
        last = read_runs(table).last()
        totals = last.losses @ weights_of({"docstrings": 3, "python": 1}, last.targets)
        shares = last.proportions[:, last.domains.index("docstrings")].round(2)
        found.append([totals[shares == share].mean() for share in written[:, 0]])
    assert len(written) == 8
    np.testing.assert_allclose(written[:, 2:], np.array(found).T, atol=6e-4)
    fresh, matched, target = np.array(found)
    assert matched.argmin() == target.argmin() != fresh.argmin()


@pytest.mark.parametrize(("page", "name"), [("README.md", "demo"), ("runs/swarm/README.md", "swarm")])
def test_a_page_tells_what_its_study_predicted_and_measured(page: str, name: str) -> None:
    rows = [line.strip("| ").split(" | ") for line in (ROOT / page).read_text().splitlines()]
    written = {row[0]: row[1:] for row in rows if row[0] in ("optimum", "natural", "uniform")}
    for outcome in open_study(ROOT / "runs" / name).outcomes:
        interval = f"{outcome.low:.3f} to {outcome.high:.3f}"
        measured = ", ".join(f"{value:.3f}" for value in outcome.measured)
        assert written[outcome.name] == [f"{outcome.predicted:.3f}", interval, measured]


def test_the_table_of_the_ways_to_weigh_is_what_their_runs_measured() -> None:
    study = open_study(ROOT / "runs" / "ways")
    assert study.full_runs is not None
    last = study.full_runs.last()
    totals = last.losses @ weights_of(study.weights, last.targets)
    found = {}
    for name in dict.fromkeys(last.frame["group"]):
        measured = totals[(last.frame["group"] == name).to_numpy()]
        found[", ".join(f"{value:.3f}" for value in measured)] = f"{measured.mean():.3f}"
    rows = [line.strip("| ").split(" | ") for line in (study.folder / "README.md").read_text().splitlines()]
    written = {row[2]: row[3] for row in rows if len(row) == 4 and row[3][0].isdigit()}
    assert written == found and len(found) == 7
    assert list(written.values()) == sorted(written.values())


@pytest.mark.parametrize("kind", ["exponential", "reciprocal"])
def test_the_critical_proportion_of_the_continued_model_is_predicted_as_its_table_says(kind: str) -> None:
    folder = ROOT / "runs" / "continual"
    law = fit(read_runs(folder / "runs.csv"), law=kind)
    found = critical(law.at(None, None), "docstrings", "docstrings", 3.5)
    trained = read_mixture(folder / f"critical-{kind}.json").as_dict()
    assert found.proportion == pytest.approx(trained["docstrings"], abs=1e-6)
    last = read_runs(folder / "full_runs.csv").last()
    measured = last.losses[(last.frame["group"] == f"critical-{kind}").to_numpy(), last.targets.index("docstrings")]
    seeds = ", ".join(f"{value:.3f}" for value in measured)
    row = next(line for line in (folder / "README.md").read_text().splitlines() if line.startswith(f"| `{kind}`"))
    assert f"| {found.proportion:.3f} |" in row and f"| {seeds} | {measured.mean() - 3.5:+.3f} |" in row


def test_the_schedule_study_says_what_its_runs_show() -> None:
    folder = ROOT / "runs" / "schedule"
    kept = json.loads((folder / "late.json").read_text())
    law, weights = fit(read_runs(folder / "runs.csv")), json.loads((folder / "weights.json").read_text())
    available, tokens = json.loads((folder / "available.json").read_text()), 204_800
    limits = Limits.of(law.domains, available=available, budget_tokens=tokens, max_epochs=1)
    shares = [each["final_share"] for each in kept["shares"]]
    staged = read_runs(folder / "staged.csv")
    found = schedule(law, staged, weights=weights, limits=limits, tokens=tokens, final_shares=shares)
    assert found.best.certified and found.loss == pytest.approx(kept["loss"], abs=1e-6)
    assert found.best.base.as_dict() == pytest.approx(kept["base"], abs=1e-4)
    assert found.best.final.as_dict() == pytest.approx(kept["final"], abs=1e-4)
    throughout = read_mixture(folder / "throughout.json")
    assert found.one_stage.as_dict() == pytest.approx(throughout.as_dict(), abs=1e-4)

    lines = (folder / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    recency = found.recency
    errors = [recency.held_out_total, recency.held_out, recency.noise]
    assert [float(row[1]) for row in rows[2:5]] == pytest.approx(errors, abs=6e-4)
    assert [float(cell) for cell in rows[7][1:]] == pytest.approx([recency.at(s) for s in (0.1, 0.2, 0.3)], abs=0.06)
    last = read_runs(folder / "full_runs.csv").last()
    totals = last.losses @ weights_of(weights, last.targets)
    one = law.predict({"one": throughout}, weights=weights).iloc[-1]
    expected = {"late": (found.loss, found.low, found.high), "throughout": (one["loss"], one["low"], one["high"])}
    for (name, (loss, low, high)), row in zip(expected.items(), rows[-2:], strict=True):
        measured = totals[(last.frame["group"] == name).to_numpy()]
        said = [float(number) for cell in row[1:] for number in re.findall(r"\d\.\d+", cell)]
        assert said == pytest.approx([loss, low, high, *measured], abs=6e-4)
        assert low < measured.min() and measured.max() < high


def test_the_table_of_the_tokens_study_follows_from_its_run_table() -> None:
    folder = ROOT / "runs" / "tokens"
    table = read_runs(folder / "runs.csv")
    young = Pooled.carry_from(table.where(table.tokens < 4.2e5), Reciprocal)
    rows = [
        [float(cell) for cell in line.split("|")[1:-1]]
        for line in (folder / "README.md").read_text().splitlines()
        if re.match(r"\| \d", line)
    ]
    assert [row[0] for row in rows] == sorted(set(table.params))
    for params, *cells in rows:
        expected = []
        for tokens in (819_200, 1_638_400, 3_276_800):
            there = table.where((table.params == params) & (table.tokens == tokens))
            distance = np.abs(young.proportions[:, None] - there.proportions).max(axis=2)
            expected += [young.losses_at(params, tokens)[distance.argmin(axis=0)].mean(), there.losses.mean()]
        assert cells == pytest.approx(expected, abs=0.0006)
    exponents = np.array([fit.curve.token_exponent.mean() for fit in Pooled.carry_from(table, Reciprocal).fits])
    assert (exponents > 0.275).all() and (exponents < 0.325).all()
