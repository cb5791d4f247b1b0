"""The page of a law: what it says of held-out errors and of domains is what the law says."""

import html
import io
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from mixlaw.cli.app import app
from mixlaw.cli.optimize import show
from mixlaw.errors import Refused
from mixlaw.files import sha256
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import read_law, write_law
from mixlaw.laws import LAWS
from mixlaw.limits import Limits
from mixlaw.optimize.find import optimize
from mixlaw.report.law import law_page
from mixlaw.report.sections.fits import checked, effects
from mixlaw.runs import check_runs
from mixlaw.surfaces import SURFACES

Planted = Callable[..., pd.DataFrame]
GROUPS = {"prose": {"web": 1.0}, "code": {"code": 1.0}}


@pytest.fixture(scope="module")
def law(planted: Planted) -> Law:
    return fit(check_runs(planted(runs=30, noise=0.01)), "exponential")


@pytest.fixture(scope="module")
def path(law: Law, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("law") / "law.json"
    write_law(law, path)
    return path


@pytest.fixture(scope="module")
def bare(law: Law, path: Path) -> str:
    return law_page(law, path)


def test_held_out_errors_on_the_page_are_those_of_the_diagnostics(law: Law) -> None:
    found = checked(law)
    assert found.is_held_out
    for place, target in enumerate(law.diagnostics.targets):
        error = np.sqrt(np.mean((found.measured[:, place] - found.predicted[:, place]) ** 2))
        assert error == pytest.approx(target.cv_rmse)


def test_intervals_of_held_out_runs_hold_about_nine_in_ten(planted: Planted) -> None:
    inside = []
    for seed in range(2):
        found = checked(fit(check_runs(planted(runs=40, noise=0.02, seed=seed)), "exponential"))
        inside.append(np.mean(np.abs(found.measured - found.predicted) <= found.half))
    assert 0.82 < np.mean(inside) < 0.96


def test_effects_are_differences_of_the_law_for_a_whole_point(planted: Planted) -> None:
    linear = fit(check_runs(planted(runs=30, noise=0.01)), "linear")
    effect, _ = effects(linear)
    at = linear.at()
    centre = at.proportions.mean(axis=0)
    slope = at.law.slope(centre)
    exact = 0.01 * (slope - (slope @ centre)[:, None]) / (1 - centre)
    assert np.allclose(effect, exact.T, atol=1e-12)


def test_a_sign_is_sure_only_where_the_runs_tell_it() -> None:
    generator = np.random.default_rng(0)
    mixtures = generator.dirichlet(np.ones(3), 40)
    frame = pd.DataFrame(mixtures, columns=["mix.helps", "mix.idle", "mix.other"])
    frame = frame.assign(run=[f"r{n}" for n in range(40)], params=10**6, tokens=10**7)
    frame["loss.told"] = 3 - 0.5 * frame["mix.helps"] + 0.001 * generator.standard_normal(40)
    frame["loss.noise"] = 3 + 0.05 * generator.standard_normal(40)
    law = fit(check_runs(frame), "linear")
    effect, sure = effects(law)
    told, noise = law.targets.index("told"), law.targets.index("noise")
    helps = law.domains.index("helps")
    assert sure[helps, told] and effect[helps, told] < 0
    assert not sure[:, noise].any()


def test_a_law_without_parameters_to_doubt_is_sure_of_no_sign(planted: Planted) -> None:
    _, sure = effects(fit(check_runs(planted(runs=14, noise=0.01)), "gaussian-process"))
    assert not sure.any()


def test_the_page_shows_optimum_and_front_where_they_are_given(law: Law, path: Path, bare: str) -> None:
    assert "The chosen mixture" not in bare and "What one group must lose" not in bare
    optimum = optimize(law)
    page = law_page(law, path, optimum=optimum, groups=GROUPS)
    assert f"{optimum.loss:.4f}" in page and "a certificate computed apart" in page
    assert "What one group must lose" in page


def test_the_page_says_what_holds_the_optimum_back_as_the_command_does(law: Law, path: Path) -> None:
    optimum = optimize(law, limits=Limits.of(law.domains, caps={"code": 0.2}))
    (active,) = optimum.active
    printed = Console(file=io.StringIO(), width=500)
    show(printed, optimum)
    said = f"held back by the cap of 'code' at 0.2 (cap 0.2): {active.words}"
    assert said in printed.file.getvalue()  # type: ignore[attr-defined]
    assert said in html.unescape(law_page(law, path, optimum=optimum))


def test_an_optimum_of_another_law_is_said_to_be_that(law: Law, path: Path) -> None:
    optimum = optimize(law)
    own, other = (replace(optimum, origin={"law_sha256": found}) for found in (sha256(path), "ab" * 32))
    said = "This optimum was found with another law (sha256 abababababab...) than law.json"
    assert said in law_page(law, path, optimum=other) and "another law (" not in law_page(law, path, optimum=own)


def test_three_domains_are_drawn_as_a_triangle_with_the_law_as_its_ground(bare: str) -> None:
    assert "only books" in bare and "The ground is what the law predicts" in bare


def test_the_page_names_the_hash_of_the_law_file(bare: str) -> None:
    assert re.search(r"law\.json, sha256</dt><dd>[0-9a-f]{64}<", bare)


@pytest.mark.parametrize(
    "flags",
    [[], ["--law", "exponential", "--scale", "none", "--target", "my code", "--fixed", "$git hub", "--renormalise"]],
)
def test_the_page_tells_the_command_that_fits_the_same_law_again(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = planted(runs=12, noise=0.01).rename(columns={"loss.code": "loss.my code"})
    if flags:
        mixes = [name for name in frame if name.startswith("mix.")]
        frame[mixes] = 95 * frame[mixes]
        frame["mix.$git hub"] = 5.0
    frame.to_csv("my runs.csv", index=False)
    CliRunner().invoke(app, ["fit", "my runs.csv", *flags, "-o", "law.json"], catch_exceptions=False)
    first = Path("law.json").read_bytes()
    page = law_page(read_law("law.json"), Path("law.json"))
    shown = page.rpartition('<pre class="commands">')[2].partition("</pre>")[0]
    told = html.unescape(re.sub("</?span>", "", shown)).splitlines()
    assert shlex.split(told[0]) == ["mixlaw", "fit", "my runs.csv", *flags, "-o", "law.json"]
    Path("law.json").unlink()
    CliRunner().invoke(app, shlex.split(told[0])[1:], catch_exceptions=False)
    assert Path("law.json").read_bytes() == first and (b'"asked"' in first) == bool(flags)


def test_a_law_of_runs_that_no_file_holds_names_no_command_that_fits_it(bare: str) -> None:
    assert "mixlaw fit" not in bare and "mixlaw report law.json" in bare


def test_unknown_weights_are_refused(law: Law, path: Path) -> None:
    with pytest.raises(Refused, match="did you mean 'web'"):
        law_page(law, path, weights={"wep": 1.0})


def test_a_hundred_domains_with_hostile_names_one_target_and_missing_losses_make_a_page(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    names = [f"domain {n}" for n in range(97)] + ["<script>alert(1)</script>", "$x_1$ & \\frac{", "域" * 60]
    mixtures = generator.dirichlet(np.full(100, 0.3), 40)
    losses = 2 + np.exp(-3 * mixtures[:, :5].sum(axis=1))
    losses[3] = np.nan
    columns = {f"mix.{name}": mixtures[:, place] for place, name in enumerate(names)}
    frame = pd.DataFrame({"run": [f"r{n}" for n in range(40)], "params": 10**6, "tokens": 10**7, **columns})
    law = fit(check_runs(frame.assign(**{"loss.<b>t</b>": losses})), "linear")
    write_law(law, tmp_path / "law.json")
    page = law_page(law, tmp_path / "law.json")
    assert "<script" not in page and "<b>" not in page
    assert html.escape(names[97]) in page and "$x_1$" in page


@pytest.mark.slow
@pytest.mark.parametrize("scale", [scale for scale in SURFACES if scale != "transfer"])
def test_a_law_of_any_scale_makes_a_page(planted: Planted, tmp_path: Path, scale: str) -> None:
    scales = tuple((n, d) for n in (10**6, 3 * 10**6, 10**7) for d in (10**8, 2 * 10**8, 4 * 10**8, 8 * 10**8))
    kind = "exponential" if scale in ("none", "nested", "pooled") else "auto"
    law = fit(check_runs(planted(runs=16, noise=0.01, scales=scales)), kind, scale)
    write_law(law, tmp_path / "law.json")
    assert "What the law leaves" in law_page(law, tmp_path / "law.json")


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAWS)
def test_a_law_of_any_kind_makes_a_page(planted: Planted, tmp_path: Path, kind: str) -> None:
    law = fit(check_runs(planted(runs=20, noise=0.01)), kind)
    write_law(law, tmp_path / "law.json")
    assert "What the law leaves" in law_page(law, tmp_path / "law.json")
