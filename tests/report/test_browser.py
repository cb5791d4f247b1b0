"""The pages in a real browser, wide and a phone's: no error on its console, nothing too wide or too small to read."""

import html
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixlaw.fitting.fit import fit
from mixlaw.fitting.law_file import write_law
from mixlaw.optimize.find import optimize
from mixlaw.report.law import law_page
from mixlaw.report.runs import runs_page
from mixlaw.report.study import study_page
from mixlaw.runs import check_runs, read_runs, write_runs
from mixlaw.study import Study

Planted = Callable[..., pd.DataFrame]

pytestmark = pytest.mark.browser

WIDTHS = (1200, 360)

LEAST_PX = 8.5
"""Of type in a figure on the narrower screen, where text around it has 16."""

MEASURE = """
<script>
const type = (text) => {
  const drawing = text.ownerSVGElement;
  return parseFloat(getComputedStyle(text).fontSize) * drawing.clientWidth / drawing.viewBox.baseVal.width;
};
window.addEventListener("load", () => {
  const said = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument.documentElement;
    const smallest = Math.min(99, ...[...page.querySelectorAll("svg text")].map(type));
    return `${frame.width}:${page.scrollWidth - page.clientWidth}:${smallest.toFixed(2)}`;
  });
  document.getElementById("found").textContent = said.join(" ");
});
</script>
<pre id="found"></pre>
"""


def seen(page: str, tmp_path: Path) -> tuple[dict[int, int], dict[int, float], list[str]]:
    """Pixels by which a page is wider than each screen, those of the smallest type in its figures, and the console."""
    chromium = shutil.which("chromium")
    assert chromium, "no chromium on the path; make test-browser installs Debian's"
    frames = "".join(f'<iframe width="{w}" height="800" srcdoc="{html.escape(page)}"></iframe>' for w in WIDTHS)
    (tmp_path / "frames.html").write_text(f"<!doctype html><link rel=icon href='data:,'>{frames}{MEASURE}")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [chromium, *flags, profile, "--virtual-time-budget=10000", (tmp_path / "frames.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="found">([^<]*)</pre>', done.stdout)
    assert found and found[1], "the browser did not load the page"
    parts = [part.split(":") for part in found[1].split()]
    wider = {int(width): int(over) for width, over, _ in parts}
    smallest = {int(width): float(type_px) for width, _, type_px in parts}
    return wider, smallest, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def pages(study: Study, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    planted(runs=20, noise=0.01, scales=((10**6, 10**7), (10**6, 2 * 10**7))).to_csv(folder / "runs.csv", index=False)
    small = fit(read_runs(folder / "runs.csv"), "exponential", "none")
    write_law(small, folder / "small.json")
    write_runs(_hostile(), folder / "hostile.csv")
    hostile = fit(read_runs(folder / "hostile.csv"), "linear")
    write_law(hostile, folder / "hostile.json")
    groups = {"prose": {"web": 1.0}, "code": {"code": 1.0}}
    return {
        "study": study_page(study),
        "law": law_page(small, folder / "small.json", optimum=optimize(small), groups=groups),
        "law of a hundred domains": law_page(hostile, folder / "hostile.json", optimum=optimize(hostile)),
        "runs": runs_page(read_runs(folder / "runs.csv"), folder / "runs.csv"),
        "runs of a hundred domains": runs_page(read_runs(folder / "hostile.csv"), folder / "hostile.csv"),
    }


def _hostile() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    names = ["<script>console.error(1)</script>", "x" * 200, "\"'><img src=x onerror=alert(1)>", *map(str, range(97))]
    mixtures = generator.dirichlet(np.full(100, 0.3), 40)
    losses = {f"loss.{'t' * 90}{n}": 2 + mixtures[:, n] + 0.01 * generator.standard_normal(40) for n in range(3)}
    losses[f"loss.{'t' * 90}0"][5] = np.nan
    columns = {f"mix.{name}": mixtures[:, place] for place, name in enumerate(names)}
    frame = pd.DataFrame({"run": [f"r{n}" for n in range(40)], "params": 10**6, "tokens": 10**7, **columns, **losses})
    return check_runs(frame).frame


@pytest.mark.parametrize("name", ["study", "law", "law of a hundred domains", "runs", "runs of a hundred domains"])
def test_a_page_opens_without_errors_no_wider_than_the_screen_and_legible(
    pages: dict[str, str], tmp_path: Path, name: str
) -> None:
    wider, smallest, console = seen(pages[name], tmp_path)
    assert wider == {1200: 0, 360: 0}
    assert not console
    assert min(smallest.values()) >= LEAST_PX


def test_an_error_on_the_console_a_page_too_wide_and_type_too_small_are_noticed(tmp_path: Path) -> None:
    page = "<!doctype html><body style='margin:0'><div style='width:500px'>x</div><script>console.error('no')</script>"
    drawing = "<svg viewBox='0 0 400 9' style='width:50%'><text style='font-size:10px'>x</text></svg>"
    wider, smallest, console = seen(page + drawing, tmp_path)
    assert wider == {1200: 0, 360: 140}
    assert smallest == {1200: 15, 360: 4.5}
    assert len(console) == 2
