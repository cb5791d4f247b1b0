"""A newcomer follows the page from an export to a mixture."""

import csv
import json
import math
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixlaw.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "importing.md"
DOMAINS, TARGETS = ("web", "code", "books"), ("web", "code")
STEPS = (100, 200)


def loss(mixture: dict[str, float], target: str, step: int) -> float:
    return 2 + math.exp(-2 * mixture[target]) + 1 / step


@pytest.fixture
def mixtures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Exports of sixteen runs, one of which crashed, in the folder of the test; the mixtures of those that did not."""
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0).dirichlet(np.ones(3), 16)
    runs = {f"brisk-sun-{n}": dict(zip(DOMAINS, map(float, row), strict=True)) for n, row in enumerate(drawn)}
    save("export_runs.csv", [["Name", "State", "data.mixture.web", "data.mixture.code", "data.mixture.books", "model"]])
    with Path("export_runs.csv").open("a", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for run, mixture in runs.items():
            state = "crashed" if run.endswith("-7") else "finished"
            writer.writerow([run, state, *mixture.values(), '{"n_params": 25000000}'])
    for target in TARGETS:
        columns = [f"{run} - eval/{target}_loss{end}" for run in runs for end in ("", "__MIN", "__MAX")]
        rows = [[step, *(loss(m, target, step) for m in runs.values() for _ in range(3))] for step in STEPS]
        save(f"export_{target}.csv", [["Step", *columns], *rows])
    return pd.DataFrame({run: mixture for run, mixture in runs.items() if not run.endswith("-7")}).T


def save(path: str, rows: list[list[object]]) -> None:
    with Path(path).open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)


def test_the_commands_of_the_page_lead_from_an_export_to_a_mixture(mixtures: pd.DataFrame) -> None:
    (block,) = re.findall(r"^## From a W&B export\n.*?^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    shown, *others = [shlex.split(line)[1:] for line in block.replace("\\\n", " ").splitlines()]
    out = CliRunner().invoke(app, shown, catch_exceptions=False).output
    proposed = {rule for rule in re.findall(r"--map '?([a-z]+[.a-z*]*=[^ ';\n]+)", out) if "NAME" not in rule}
    assert proposed == {"loss.*=eval/*_loss", "mix.*=data.mixture.*", "params=model.n_params"} <= {*others[0]}
    for words in others:
        answer = CliRunner().invoke(app, words, catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
    table = pd.read_csv("runs.csv").set_index("run")
    assert len(table) == 2 * len(mixtures) and "brisk-sun-7" not in table.index
    last = table[table["step"] == STEPS[-1]].loc[mixtures.index]
    assert np.allclose(last[[f"mix.{d}" for d in DOMAINS]], mixtures[list(DOMAINS)])
    assert set(table["tokens"]) == {step * 524_288 for step in STEPS} and set(table["params"]) == {25_000_000}
    best = json.loads(Path("optimum.json").read_text())["mixture"]
    assert abs(best["web"] - 0.5) < 0.05 and abs(best["code"] - 0.5) < 0.05, "by symmetry, half and half"
