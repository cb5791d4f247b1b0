"""The contract every exporter keeps, the golden text of each, and what is refused."""

import json
from pathlib import Path

import pytest
import yaml

from mixlaw.errors import Refused
from mixlaw.export import EXPORTERS, export
from mixlaw.export.base import Exporter, Unit, decimal_text, files
from mixlaw.export.paths import as_places, read_paths
from mixlaw.export.prepare import prepare
from mixlaw.export.sizes import as_sizes, read_sizes
from mixlaw.mixture import Mixture, read_mixture, read_mixtures

GOLDEN = Path(__file__).parent / "golden"
MIXTURE = Mixture.of({"code": 0.5, "web": 0.3, "books": 0.2, "forums": 0.0})
PATHS = {"code": "/d/code", "web": "/d/web", "books": "/d/books"}
SIZES = {
    "code": {"tokens": 4e9, "documents": 4e6},
    "web": {"tokens": 3e9, "documents": 6e6},
    "books": {"tokens": 2e9, "documents": 1e6},
}
every_exporter = pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=list(EXPORTERS))


def rendered(exporter: Exporter, mixture: Mixture = MIXTURE) -> str:
    prepared = prepare(exporter, {0: mixture}, places=as_places(PATHS), sizes=as_sizes(SIZES))
    return exporter.render(prepared.request)


@every_exporter
def test_the_text_is_the_golden_text(exporter: Exporter) -> None:
    golden = GOLDEN / f"{exporter.name}{Path(exporter.filename).suffix}"
    assert rendered(exporter) == golden.read_text(encoding="utf-8")


def test_no_golden_text_is_left_over() -> None:
    wanted = {f"{exporter.name}{Path(exporter.filename).suffix}" for exporter in EXPORTERS.values()}
    assert wanted == {file.name for file in GOLDEN.iterdir()}


@every_exporter
def test_numbers_are_written_to_the_last_digit(exporter: Exporter) -> None:
    thirds = Mixture.of({"code": 1 / 3, "web": 1 / 3, "books": 1 / 3})
    prepared = prepare(exporter, {0: thirds}, places=as_places(PATHS), sizes=as_sizes(SIZES))
    text = exporter.render(prepared.request)
    exact = {
        Unit.TOKENS: {"code": 1 / 3, "web": 1 / 3, "books": 1 / 3},
        Unit.SEQUENCES: {"code": 1 / 3, "web": 1 / 3, "books": 1 / 3},
        Unit.DOCUMENTS: {"code": 2 / 7, "web": 4 / 7, "books": 1 / 7},
        Unit.FRACTION: {"code": 1 / 2, "web": 2 / 3, "books": 1.0},
    }[prepared.request.unit]
    for source in prepared.request.sources:
        assert decimal_text(source.share) in text
        assert abs(source.share - exact[source.domain]) < 1e-14


@every_exporter
def test_a_domain_of_proportion_zero_is_left_out_where_a_trainer_would_refuse_or_read_it(exporter: Exporter) -> None:
    assert ("forums" in rendered(exporter)) == exporter.keeps_zeros


@every_exporter
def test_numbers_that_count_documents_or_data_sets_are_refused_without_their_sizes(exporter: Exporter) -> None:
    if exporter.units[0] in (Unit.DOCUMENTS, Unit.FRACTION):
        with pytest.raises(Refused, match="--available"):
            prepare(exporter, {0: MIXTURE}, places=as_places(PATHS))


@every_exporter
def test_a_missing_path_is_named_with_the_nearest_there_is(exporter: Exporter) -> None:
    if exporter.reads_paths:
        wrong = {"code": "/d/code", "webs": "/d/web", "books": "/d/books"}
        with pytest.raises(Refused, match=r"takes from 'web', which has no path.*did you mean 'webs'"):
            prepare(exporter, {0: MIXTURE}, places=as_places(wrong), sizes=as_sizes(SIZES))


@every_exporter
def test_without_paths_the_names_stand_in_and_a_note_says_so(exporter: Exporter) -> None:
    prepared = prepare(exporter, {0: MIXTURE}, sizes=as_sizes(SIZES))
    assert any("pass --paths" in note for note in prepared.notes) == exporter.reads_paths
    assert "books" in exporter.render(prepared.request)


@every_exporter
def test_a_domain_read_more_than_once_or_a_training_cut_short_is_told(exporter: Exporter) -> None:
    prepared = prepare(exporter, {0: MIXTURE}, places=as_places(PATHS), sizes=as_sizes(SIZES), budget_tokens=16e9)
    expected = "'code' is read 2 times" if exporter.repeats else "8B tokens in all, not the 16B"
    assert any(expected in note for note in prepared.notes)
    prepared = prepare(exporter, {0: MIXTURE}, places=as_places(PATHS), sizes=as_sizes(SIZES), budget_tokens=16e13)
    assert not exporter.repeats or any("'code' is read 20,000 times" in note for note in prepared.notes)


@every_exporter
def test_a_unit_the_trainer_does_not_have_is_refused(exporter: Exporter) -> None:
    for unit in Unit:
        if unit not in exporter.units:
            with pytest.raises(Refused, match=f"cannot be given shares of {unit}"):
                prepare(exporter, {0: MIXTURE}, places=as_places(PATHS), sizes=as_sizes(SIZES), unit=unit)


@every_exporter
def test_stages_are_written_or_refused_but_never_dropped(exporter: Exporter) -> None:
    stages = {0: MIXTURE, 9000: Mixture.of({"code": 0.625, "web": 0.0, "books": 0.25, "forums": 0.125})}
    places = as_places({**PATHS, "forums": "/d/forums"})
    sizes = as_sizes({**SIZES, "forums": {"tokens": 1e9, "documents": 1e6}})
    if not exporter.staged:
        with pytest.raises(Refused, match="cannot change its mixture during a run"):
            prepare(exporter, stages, places=places, sizes=sizes)
        return
    prepared = prepare(exporter, stages, places=places, sizes=sizes)
    written = files(exporter, prepared.request, exporter.filename)
    text = " ".join([*written, *written.values()])
    assert ("9000" in text or "9001" in text) and "0.625" in text and "0.3" in text
    assert any("epochs are not counted over stages" in note for note in prepared.notes)


def test_stages_that_name_other_domains_are_refused() -> None:
    staged = [exporter for exporter in EXPORTERS.values() if exporter.staged]
    for exporter in staged:
        with pytest.raises(Refused, match=r"books, forums is not in every stage"):
            prepare(exporter, {0: MIXTURE, 10: Mixture.of({"code": 0.5, "web": 0.5})}, places=as_places(PATHS))


def test_python_takes_mixtures_and_files_and_warns_of_what_the_command_notes(tmp_path: Path) -> None:
    file = tmp_path / "optimum.json"
    file.write_text(json.dumps({"mixture": {"code": 0.5, "web": 0.5}, "gap": 0.0}))
    assert export(file, "megatron", paths=PATHS) == "0.5 /d/code 0.5 /d/web\n"
    with pytest.warns(UserWarning, match="names stand where paths belong"):
        assert export({"code": 0.5, "web": 0.5}, "megatron") == "0.5 code 0.5 web\n"
    with pytest.raises(Refused, match=r"no format is called 'megatrn'; did you mean 'megatron'\?"):
        export(file, "megatrn")


def test_several_paths_are_refused_where_the_trainer_takes_one() -> None:
    with pytest.raises(Refused, match=r"'code' has 2 paths, but megatron takes one"):
        export({"code": 1.0}, "megatron", paths={"code": ["/a", "/b"]})


def test_megatron_refuses_a_path_that_its_own_reader_would_split() -> None:
    with pytest.raises(Refused, match="splits its blend at spaces"):
        export({"code": 1.0}, "megatron", paths={"code": "/my data/code"})


def test_megatron_takes_prefixes_so_suffixes_are_cut() -> None:
    assert (
        export({"code": 1.0}, "megatron", paths={"code": "/d/code_text_document.bin"}) == "1.0 /d/code_text_document\n"
    )


def test_megatron_blends_held_out_splits_when_every_domain_has_one() -> None:
    paths = {"code": {"train": "/t/code", "valid": "/v/code"}, "web": {"train": "/t/web", "valid": "/v/web"}}
    blends = json.loads(export({"code": 0.25, "web": 0.75}, "megatron-splits", paths=paths))
    assert blends == {
        "train": ["0.25", "/t/code", "0.75", "/t/web"],
        "test": None,
        "valid": ["0.25", "/v/code", "0.75", "/v/web"],
    }
    del paths["web"]["valid"]
    with pytest.raises(Refused, match="code has a valid path but web has none"):
        export({"code": 0.25, "web": 0.75}, "megatron-splits", paths=paths)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code = ", "is not TOML"),
        ("code = 3", "path of 'code' is 3"),
        ("code = []", r"path of 'code' is \[\]"),
        ("code.web = '/d'", "quote its name"),
        ("code = {valid = '/d'}", "'code' has no train path"),
    ],
)
def test_a_broken_paths_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "paths.toml"
    file.write_text(text)
    with pytest.raises(Refused, match=message) as refusal:
        read_paths(file)
    assert str(file) in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no sizes"),
        ({"code": {"documents": 3}}, "'code' has no 'tokens'"),
        ({"code": "many"}, "tokens of 'code' are 'many'"),
        ({"code": {"tokens": 5, "documents": 0}}, "documents of 'code' are 0"),
    ],
)
def test_broken_sizes_are_refused_by_name(tmp_path: Path, content: object, message: str) -> None:
    file = tmp_path / "available.json"
    file.write_text(json.dumps(content))
    with pytest.raises(Refused, match=message):
        read_sizes(file)


def test_sizes_come_from_a_corpus_folder_too(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(
        json.dumps({"domains": {"code": {"tokens": 10, "documents": 2}}, "seed": 1})
    )
    assert read_sizes(tmp_path) == as_sizes({"code": {"tokens": 10, "documents": 2}})


def test_olmo_core_is_told_the_passes_that_the_budget_needs() -> None:
    available = {"code": 3e9, "web": 9e9}
    with pytest.warns(UserWarning, match=r"'code' is read 1.667 times"):
        text = export({"code": 0.5, "web": 0.5}, "olmo-core", paths=PATHS, available=available, tokens=10e9)
    sources = yaml.safe_load(text)["sources"]
    assert sources[0]["max_repetition_ratio"] == 1.667 and "max_repetition_ratio" not in sources[1]


@pytest.mark.parametrize("name", ["megatron", "megatron-splits"])
def test_megatron_takes_each_phase_from_a_file_of_its_own_without_zeros(name: str) -> None:
    later = {9000: Mixture.of({**MIXTURE.as_dict(), "web": 0.0, "code": 0.8}), 12000: MIXTURE}
    prepared = prepare(EXPORTERS[name], {0: MIXTURE, **later}, places=as_places(PATHS))
    written = files(EXPORTERS[name], prepared.request, f"data/{EXPORTERS[name].filename}")
    stem, suffix = EXPORTERS[name].filename.split(".")
    assert list(written) == [f"data/{stem}{step}.{suffix}" for step in ("", "-9000", "-12000")]
    assert ["/d/web" in text for text in written.values()] == [True, False, True]
    assert any("--phase-transition-iterations 9000,12000," in note for note in prepared.notes)
    with pytest.raises(Refused, match=f"{name} takes each stage from a file of its own"):
        export(MIXTURE, name, paths=PATHS, later=later)


def test_nanotron_counts_steps_from_one() -> None:
    later = {9000: {"code": 0.25, "web": 0.75}}
    with pytest.warns(UserWarning, match="launch it with the first stage alone"):
        text = export({"code": 0.5, "web": 0.5}, "nanotron", paths=PATHS, later=later)
    assert [stage["start_training_step"] for stage in yaml.safe_load(text)["data_stages"]] == [1, 9001]


def test_nanotron_leaves_a_domain_out_of_the_stages_that_do_not_read_it() -> None:
    later = {9000: {"code": 0.0, "web": 1.0}}
    with pytest.warns(UserWarning, match="resume from that with the next stage added"):
        text = export({"code": 0.5, "web": 0.5}, "nanotron", paths=PATHS, later=later)
    datasets = [stage["data"]["dataset"] for stage in yaml.safe_load(text)["data_stages"]]
    assert [dataset["dataset_folder"] for dataset in datasets] == [["/d/code", "/d/web"], ["/d/web"]]
    assert [dataset["dataset_weights"] for dataset in datasets] == [[0.5, 0.5], [1.0]]


def test_a_file_of_stages_for_nanotron_says_that_it_is_launched_once_a_stage() -> None:
    one, two = ({0: MIXTURE}, {0: MIXTURE, 9000: MIXTURE})
    texts = [EXPORTERS["nanotron"].render(prepare(EXPORTERS["nanotron"], stages).request) for stages in (one, two)]
    assert ["trains on the last stage" in text for text in texts] == [False, True]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_file_for_gpt_neox_names_the_lists_that_it_still_lacks(split: str) -> None:
    other = {"valid": "test", "test": "valid"}[split]
    text = export({"code": 1.0}, "gpt-neox", paths={"code": {"train": "/t/code", split: "/h/code"}})
    assert f"refuses it until another configuration adds {other}-data-paths." in text
    both = {"code": {"train": "/t/code", "valid": "/v/code", "test": "/x/code"}}
    assert "refuses" not in export({"code": 1.0}, "gpt-neox", paths=both)


def test_levanter_warns_below_the_share_it_can_honour() -> None:
    with pytest.warns(UserWarning, match=r"'web' has a share of 0.0004, below 1/2048"):
        export({"code": 0.9996, "web": 0.0004}, "levanter", paths=PATHS)
    export({"code": 0.9995, "web": 0.0005}, "levanter", paths=PATHS)


def test_energon_and_gpt_neox_take_held_out_paths_too() -> None:
    paths = {name: {"train": f"/t/{name}", "valid": f"/v/{name}", "test": f"/x/{name}"} for name in ("code", "web")}
    energon = yaml.safe_load(export({"code": 0.25, "web": 0.75}, "energon", paths=paths, unit="sequences"))
    assert [entry["path"] for entry in energon["splits"]["val"]["blend"]] == ["/v/code", "/v/web"]
    neox = yaml.safe_load(export({"code": 0.25, "web": 0.75}, "gpt-neox", paths=paths))
    assert neox["test-data-paths"] == ["/x/code", "/x/web"] and neox["valid-data-weights"] == [0.25, 0.75]


def test_torchtitan_refuses_names_that_it_would_take_for_one() -> None:
    with pytest.raises(Refused, match="ignores case"):
        export({"Web": 0.5, "web": 0.5}, "torchtitan", paths={"Web": "/a", "web": "/b"})


@pytest.mark.parametrize("name", ["json", "csv"])
def test_plain_files_are_files_that_we_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / EXPORTERS[name].filename
    file.write_text(export(MIXTURE, name), encoding="utf-8")
    read = read_mixture(file) if name == "json" else read_mixtures(file)["1"]
    assert read.as_dict() == pytest.approx(MIXTURE.as_dict(), abs=1e-15)


def test_a_csv_header_survives_a_comma_in_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mixture.csv"
    file.write_text(export({'a,"b"': 0.25, "c": 0.75}, "csv"))
    assert read_mixtures(file)["1"].as_dict() == {'a,"b"': 0.25, "c": 0.75}
