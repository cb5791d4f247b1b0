"""Tables of one's own, and the pairs of RegMix and Olmix."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.importers import importer_of, read_log
from mixlaw.importers.assemble import assemble
from mixlaw.importers.base import Reading
from mixlaw.importers.choices import Choices


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return str(folder / name)


def test_a_long_table_is_the_wide_one(tmp_path: Path) -> None:
    wide = write(tmp_path, "wide.csv", "run,tokens,web,code\na,10,2.5,1.5\na,20,2.25,1.25\nb,10,3,\n")
    long = write(
        tmp_path,
        "long.csv",
        "run,tokens,metric,value\na,10,web,2.5\na,10,code,1.5\na,20,web,2.25\na,20,code,1.25\nb,10,web,3\n",
    )
    read_wide = read_log((wide,), reading=Reading()).runs
    read_long = read_log((long,), reading=Reading(long=("metric", "value"))).runs
    assert read_long == read_wide and read_wide[1].points == ({"run": "b", "tokens": 10, "web": 3.0},)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".tsv"])
def test_every_kind_of_table_says_the_same(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"run": ["a", "b"], "tokens": [10, 20], "web": [2.5, None]})
    path = tmp_path / f"runs{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, sep="\t", index=False)
    assert read_log((str(path),)).runs[0].points == ({"run": "a", "tokens": 10, "web": 2.5},)
    assert "web" not in read_log((str(path),)).runs[1].points[0], "a blank cell was not measured"


def test_a_long_table_that_says_two_things_is_refused(tmp_path: Path) -> None:
    long = write(tmp_path, "long.csv", "run,tokens,metric,value\na,10,web,2.5\na,10,web,2.6\n")
    with pytest.raises(Refused, match="'web' has two values at run a, tokens 10"):
        read_log((long,), reading=Reading(long=("metric", "value")))
    with pytest.raises(Refused, match="no column is called 'name'"):
        read_log((long,), reading=Reading(long=("name", "value")))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "job,tokens\na,1\n", "has no column 'run'.*--map run=COLUMN"),
        ("x.csv", "tokens,Name\n1,a\n", "has no column 'run'.*--map run=Name"),
        ("x.csv", "", "x.csv is empty"),
        ("x.csv", "run,tokens\n", "has no rows"),
        ("x.jsonl", '{"run": 1}\n[1]\n', "line 2 is not an object"),
        ("x.jsonl", "{", "line 1 is not JSON"),
        ("x.parquet", "text", "cannot be read as a table"),
        ("x.txt", "text", "no kind of log that is known"),
    ],
)
def test_a_broken_table_is_refused_by_name(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as refusal:
        read_log((write(tmp_path, name, text),))
    assert name in str(refusal.value)


MIXTURES = "index,train_arxiv,train_web\n0,0.25,0.75\n1,0.5,0.5\n2,0.125,0.875\n"
LOSSES = "index,metric/arxiv_val_loss,metric/web_val_loss\n2,1.75,2.75\n0,1.5,2.5\n1,1.25,2.25\n"


def test_regmix_is_joined_by_index_whatever_the_order(tmp_path: Path) -> None:
    paths = write(tmp_path, "mix.csv", MIXTURES), write(tmp_path, "loss.csv", LOSSES)
    for sources in (paths, paths[::-1]):
        log = read_log(sources)
        runs = {run.name: run for run in log.runs}
        assert runs["0"].settings == {"mix.train_arxiv": 0.25, "mix.train_web": 0.75}
        assert runs["0"].points == ({"metric/arxiv_val_loss": 1.5, "metric/web_val_loss": 2.5},)
        assert runs["2"].points[0]["metric/web_val_loss"] == 2.75 and importer_of(sources).name == "regmix"
    with pytest.raises(Refused, match="there are 1 and 0"):
        read_log(paths[:1])


def test_olmix_is_joined_by_run_and_names_what_only_one_file_knows(tmp_path: Path) -> None:
    write(tmp_path, "ratios.csv", "run,name,index,web,code\nr1,x,0,0.25,0.75\nr2,y,1,0.5,0.5\n")
    write(tmp_path, "metrics.csv", "run,name,index,arc_bpb\nr3,z,0,0.75\nr2,y,1,0.5\n")
    log = read_log((str(tmp_path),))
    (run,) = log.runs
    assert run.name == "r2" and run.settings == {"mix.web": 0.5, "mix.code": 0.5} and run.points == ({"arc_bpb": 0.5},)
    assert log.rules == ("loss.arc_bpb=arc_bpb",)
    assert log.notes == (
        "1 run in ratios.csv alone left out: r1",
        "1 run in metrics.csv alone left out: r3",
    )


def test_olmix_is_known_by_its_files_and_row_numbers_of_pandas_are_no_domain(tmp_path: Path) -> None:
    paths = (
        write(tmp_path, "ratios.csv", ",run,name,index,web,code\n0,r1,x,0,0.25,0.75\n"),
        write(tmp_path, "metrics.csv", ",run,name,index,arc_bpb\n0,r1,x,0,0.5\n"),
    )
    for sources in (paths, paths[:1], (str(tmp_path),)):
        assert importer_of(sources).name == "olmix"
        (run,) = read_log(sources).runs
        assert run.settings == {"mix.web": 0.25, "mix.code": 0.75} and run.points == ({"arc_bpb": 0.5},)


def test_what_no_importer_knows_is_told_by_source(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "run,x\na,1\n")
    with pytest.raises(
        Refused, match=r"holds no kind of log that is known; name its tables one by one: a.csv; say which"
    ):
        importer_of((str(tmp_path),))
    (tmp_path / "hf").mkdir()
    write(tmp_path / "hf", "trainer_state.json", "{}")
    with pytest.raises(Refused, match=r"hf is huggingface; .*a.csv is table; import each kind by itself.*mixlaw merge"):
        importer_of((str(tmp_path / "hf"), path))


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("name,arc\nx,1\n", "share no column run or run_id"),
        ("run,arc\nr1,1\nr1,2\n", "run 'r1' stands twice"),
        ("run,arc\nr9,1\n", "no 'run' is in both"),
    ],
)
def test_pairs_that_cannot_be_joined_are_refused(tmp_path: Path, metrics: str, message: str) -> None:
    write(tmp_path, "ratios.csv", "run,web,code\nr1,0.25,0.75\n")
    write(tmp_path, "metrics.csv", metrics)
    with pytest.raises(Refused, match=message):
        read_log((str(tmp_path),))


def test_identifiers_stay_text_even_where_they_look_like_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "log.csv", "job,tokens,web\n007,10,2.5\n08,10,2.5\n")
    assert [run.name for run in read_log((path,), reading=Reading(run_column="job")).runs] == ["007", "08"]


def test_cells_that_hold_objects_are_read_as_such(tmp_path: Path) -> None:
    """What `pandas` writes of the runs of the W&B API (python's text of dicts), and nested JSON."""
    text = "\"{'eval/web': 2.5, 'bad': nan, '_wandb': {'runtime': 3}}\""
    path = write(tmp_path, "project.csv", f",summary,config,name\n0,{text},\"{{'mix': {{'web': 1.0}}}}\",[a]\n")
    (run,) = read_log((path,), reading=Reading(run_column="name")).runs
    assert run.name == "[a]" and run.points[0]["summary.eval/web"] == 2.5 and run.points[0]["config.mix.web"] == 1.0
    lines = write(tmp_path, "x.jsonl", '{"run": "a", "mix": {"web": 1.0}, "parts": [0.5, 0.5]}\n')
    assert read_log((lines,)).runs[0].points == ({"run": "a", "mix.web": 1.0, "parts.0": 0.5, "parts.1": 0.5},)
    pd.DataFrame({"run": ["a"], "parts": [[0.5, 0.5]], "mix": [{"web": 1.0}]}).to_parquet(tmp_path / "x.parquet")
    assert read_log((str(tmp_path / "x.parquet"),)).runs == read_log((lines,)).runs


def test_a_table_of_a_spreadsheet_with_decimal_commas_is_read_and_said_to_be(tmp_path: Path) -> None:
    text = "\ufeffrun;tokens;web;code;note\r\n007;10;2,5;1,5e-1;a,b\r\n08;20;3;;2,5\r\n"
    log = read_log((write(tmp_path, "log.csv", text),))
    assert log.runs[0].points == ({"run": "007", "tokens": 10, "web": 2.5, "code": 0.15, "note": "a,b"},)
    assert log.runs[1].points == ({"run": "08", "tokens": 20, "web": 3.0, "note": "2,5"},)
    assert any("a comma within a number is its decimal point" in note for note in log.notes)


@pytest.mark.parametrize("name", ["log.csv.gz", "log.jsonl.gz"])
def test_a_compressed_table_is_read_as_it_was(tmp_path: Path, name: str) -> None:
    text = "run,web\na,2.5\n" if "csv" in name else '{"run": "a", "web": 2.5}\n'
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert read_log((str(tmp_path / name),)).runs[0].points == ({"run": "a", "web": 2.5},)
    (tmp_path / name).write_bytes(gzip.compress(text.encode())[:-9])
    with pytest.raises(Refused, match=rf"{name} cannot be decompressed"):
        read_log((str(tmp_path / name),))
    (tmp_path / name).write_bytes(gzip.compress(b"{"))
    with pytest.raises(Refused, match=rf"{name}"):
        read_log((str(tmp_path / name),))


def test_a_column_of_states_says_which_runs_did_not_end_well(tmp_path: Path) -> None:
    """As of `mlflow.search_runs().to_csv()`."""
    text = "run,status,state,x\na,FINISHED,Ohio,1\nb,RUNNING,Ohio,1\nb,FAILED,Iowa,2\nc,new,crashed,1\n"
    log = read_log((write(tmp_path, "runs.csv", text),))
    assert {run.name: run.unfinished for run in log.runs} == {"a": "", "b": "failed", "c": "crashed"}


def test_each_file_may_be_a_run_that_is_called_after_it(tmp_path: Path) -> None:
    """As Lightning's CSVLogger writes `version_0/metrics.csv`, and many a script `<run>.csv`."""
    for folder in ("version_0", "version_1"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "metrics.csv", "step,val_loss,train_loss\n10,2.5,\n20,,3.0\n")
    paths = tuple(str(tmp_path / f"version_{number}" / "metrics.csv") for number in (0, 1))
    names = [path.removesuffix(".csv") for path in paths]
    assert [run.name for run in read_log(paths, reading=Reading(run_column="{file}")).runs] == names
    (run,) = read_log(paths[:1], reading=Reading(run_column="{file}")).runs
    assert run.name == "metrics" and run.points[1] == {"{file}": "metrics", "step": 20, "train_loss": 3.0}


def test_a_run_table_of_ours_is_a_table_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path, "runs.csv", "run,params,tokens,group,mix.web,loss.web\na,5,10,swarm,1,2.5\n")
    table = assemble(read_log((path,)), Choices())
    assert table.frame.to_dict("records") == [
        {"run": "a", "params": 5, "tokens": 10, "group": "swarm", "mix.web": 1.0, "loss.web": 2.5}
    ]
