"""A plan is read as it was meant, or refused with what to do."""

import re
from pathlib import Path

import pytest

from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused
from mixlaw.online import Grape
from mixlaw.plan import Plan, read_plan
from mixlaw.train.members import setting_of

LEAST = """
name = "study"
[corpus]
path = "corpus"
[proxies]
sizes = ["0.1M"]
tokens = [8192, 16384]
[target]
size = "1M"
tokens = 1e6
"""


def plan(folder: Path, text: str = LEAST) -> Plan:
    (folder / "plan.toml").write_text(text)
    return read_plan(folder / "plan.toml")


def test_the_least_plan_has_defaults_and_paths_relative_to_itself(tmp_path: Path) -> None:
    found = plan(tmp_path)
    assert found.training.schedule == "constant"
    assert found.target.tokens == 1_000_000
    assert found.path(found.corpus.path) == tmp_path / "corpus"


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("[proxies]", "[proxys]", r"no key is called 'proxys'; did you mean 'proxies'\?"),
        ('size = "1M"', 'sise = "1M"', r"no key is called 'target.sise'; did you mean 'size'\?"),
        ('name = "study"', 'name = "study"\nzzz = 1', "no key is called 'zzz'; known here: name, seed, corpus"),
        ('name = "study"', 'name = "study"\ncolour = 1', "no key is called 'colour'; known here: name, seed, corpus"),
        ('name = "study"', "", "'name' is missing; add it"),
        ('path = "corpus"', "", "'corpus.path' is missing; add it"),
        ("tokens = 1e6", "tokens = 0", "'target.tokens' is 0; it must be above 0"),
        ("tokens = 1e6", 'tokens = "many"', "'target.tokens' is 'many'; it must be a whole number"),
        ("tokens = 1e6", "tokens = inf", "'target.tokens' is inf"),
        ("tokens = 1e6", "tokens = 100", r"target.tokens begins with 100, less than one step .* = 4096"),
        ("[8192, 16384]", "[16384, 8192]", r"\[proxies\] tokens must rise: \[16384, 8192\]"),
        ("[8192, 16384]", "[8192, 8200]", r"proxies.tokens \[8192, 8200\] are \[2, 2\] steps"),
        ("[8192, 16384]", "[]", r"'proxies.tokens' is \[\]; it must be a list of at least 1"),
        ('["0.1M"]', '["0.1M", "0.1M"]', r"\[proxies\] sizes names '0.1M' twice; keep one"),
        ('path = "corpus"', 'path = "corpus"\ndomains = ["a", "a"]', r"\[corpus\] domains names 'a' twice"),
        ('path = "corpus"', 'path = "corpus"\navailable_tokens = { a = -3 }', "'corpus.available_tokens.a' is -3"),
        ("[proxies]", "[training]\nlearning_rate = nan\n[proxies]", "'training.learning_rate' is nan"),
        (
            "[proxies]",
            "[training]\nbatch_tokens = 1000\n[proxies]",
            r"\[training\] batch_tokens is 1000, not a multiple of sequence_length 128",
        ),
        ("[proxies]", '[training]\nschedule = "wds"\n[proxies]', "'constant', 'wsd', 'cosine' or 'inverse-sqrt'"),
        ("[proxies]", "[weights]\nprose = -1\n[proxies]", "'weights.prose' is -1"),
        ("[proxies]", "[training]\nmicro_batches = 3\n[proxies]", "32 sequences a step cannot be cut into 3"),
        ("[proxies]", "[training]\nwarmup = 0.6\ncooldown = 0.5\n[proxies]", "more than the run; lower one"),
        ("[proxies]", "[online]\nevery = 10\n[proxies]", "'online.method' is missing; add it: doremi, doge, grape"),
        ("[proxies]", '[online]\nmethod = "grap"\n[proxies]', r"'online.method' is 'grap'; did you mean 'grape'\?"),
        (
            "[proxies]",
            '[online]\nmethod = "grape"\nevrey = 10\n[proxies]',
            r"no key is called 'online.evrey'; did you mean 'every'\?",
        ),
        (
            "[proxies]",
            '[online]\nmethod = "odm"\nzzz = 0.1\n[proxies]',
            "no key is called 'online.zzz'; known here: method, reward, every",
        ),
        (
            "[proxies]",
            '[online]\nmethod = "doremi"\nstep = 0\n[proxies]',
            "'online.step' is 0; it must be above 0",
        ),
        ("[proxies]", "[samples]\ntemprature = 1\n[proxies]", r"'samples.temprature'; did you mean 'temperature'\?"),
        (
            "[proxies]",
            '[[stages]]\nlast = 0.2\nmixtur = "x"\n[proxies]',
            r"'stages.0.mixtur'; did you mean 'mixture'",
        ),
        (
            "[proxies]",
            '[[stages]]\nlast = 0.2\nmixture = "a"\n[[stages]]\nlast = 0.3\nmixture = "b"\n[proxies]',
            r"the stages' last must fall: \[0.2, 0.3\]",
        ),
        (
            "[proxies]",
            '[online]\nmethod = "odm"\n[[stages]]\nlast = 0.2\nmixture = "a"\n[proxies]',
            r"\[online\] and \[\[stages\]\] both choose the mixture; keep one",
        ),
        ('name = "study"', 'name = "study"\nfolder = "x"', "no key is called 'folder'; delete it"),
        ("[proxies]", '[design]\nmixtures = "4"\n[proxies]', "'design.mixtures' is '4'; it must be a whole number"),
        ("[proxies]", "[design]\nmixtures = 4.5\n[proxies]", "'design.mixtures' is 4.5; it must be a whole number"),
        ("[proxies]", "[design]\nmixtures = true\n[proxies]", "'design.mixtures' is True; it must be a whole number"),
        ("[proxies]", "[design]\nmixtures = 1\n[proxies]", "'design.mixtures' is 1; it must be at least 2"),
        ("[proxies]", "[design]\nmethod = 3\n[proxies]", "'design.method' is 3; it must be text in quotes"),
        ("[proxies]", '[design]\ncaps = "web"\n[proxies]', "'design.caps' is 'web'; it must be a table"),
        ("[proxies]", '[design.caps]\nint = "1"\n[proxies]', "'design.caps.int' is '1'; it must be a number"),
        ("[proxies]", '[training]\nclip = "1"\n[proxies]', "'training.clip' is '1'; it must be a number"),
        ("[proxies]", "[training]\nwarmup = 1\n[proxies]", "'training.warmup' is 1; it must be below 1"),
        (
            "[proxies]",
            "[training]\ncompile = 1\n[proxies]",
            "'training.compile' is 1; it must be 'auto' or true or false, without quotes$",
        ),
        ('["0.1M"]', '"0.1M"', r"'proxies.sizes' is '0.1M'; it must be a list, \[...\]"),
        ('name = "study"', 'name = "study"\ntraining = 3', "'training' is 3; it must be a table of keys"),
        ('name = "study"', 'name = "study"\nlaunch.engine = "slrm"', "it must be 'local', 'slurm' or 'ray'"),
        ('name = "study"', 'name = "study"\nlaunch.slurm.options.q = []', "'launch.slurm.options.q' is"),
        ('name = "study"', "name = study", r"Invalid value \(at line 2.*correct the TOML"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, change: str, to: str, said: str) -> None:
    assert change in LEAST
    with pytest.raises(Refused, match=rf"plan\.toml: .*{said}"):
        plan(tmp_path, LEAST.replace(change, to))


def test_a_mistake_is_said_in_our_words_whatever_it_is(tmp_path: Path) -> None:
    """Every key of a plan is given text, a number, a list, a table and a truth in turn."""
    for table in ("name", "seed", "corpus", "design", "training", "proxies", "target", "launch", "weights", "stages"):
        for key in ("", *getattr(Plan.model_fields[table].annotation, "model_fields", {})):
            for value in ('"x"', "-0.5", "[[]]", "{ x = [] }", "true"):
                written = f"{table}.{key} = {value}" if key else f"{table} = {value}"
                (tmp_path / "plan.toml").write_text(f"{written}\n")
                with pytest.raises(Refused) as refused:
                    read_plan(tmp_path / "plan.toml")
                assert not re.search("Input|valid|instance|parsing|unable", str(refused.value)), (
                    written,
                    refused.value,
                )


def test_whole_numbers_may_be_written_as_powers_of_ten(tmp_path: Path) -> None:
    found = plan(tmp_path, LEAST.replace("[proxies]", "[design]\nmixtures = 2e1\n[training]\nclip = 2\n[proxies]"))
    assert found.design.mixtures == 20 and found.training.clip == 2.0


def test_a_plan_changes_its_base_key_by_key(tmp_path: Path) -> None:
    plan(tmp_path, LEAST.replace("[proxies]", "[training]\nlearning_rate = 0.01\nwarmup = 0.1\n[proxies]"))
    (tmp_path / "grape.toml").write_text(
        'base = "plan.toml"\nname = "grape"\n[training]\nwarmup = 0.2\n[online]\nmethod = "grape"\nevery = 7\n'
    )
    found = read_plan(tmp_path / "grape.toml")
    assert (found.name, found.training.learning_rate, found.training.warmup) == ("grape", 0.01, 0.2)
    assert found.online == Grape(every=7) and found.moves
    assert not read_plan(tmp_path / "plan.toml").moves


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("../plan.toml", r"base is '../plan.toml'; name a plan in the same folder"),
        ("child.toml", "its base 'child.toml' leads back to itself"),
        ("gone.toml", r"child\.toml: its base: .*gone\.toml does not exist"),
    ],
)
def test_a_base_that_cannot_be_read_is_refused(tmp_path: Path, base: str, said: str) -> None:
    (tmp_path / "child.toml").write_text(f'base = "{base}"\nname = "child"\n')
    with pytest.raises(Refused, match=said):
        read_plan(tmp_path / "child.toml")


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"plan\.toml does not exist; check the path"):
        read_plan(tmp_path / "plan.toml")


def test_a_corpus_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"corpus is not a folder; make a corpus with"):
        setting_of(plan(tmp_path))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('domains = ["prose", "digit"]', r"corpus.domains: no domain is called 'digit'; did you mean 'digits'\?"),
        ('targets = ["mark"]', r"corpus.targets: no target is called 'mark'; did you mean 'marks'\?"),
        ("available_tokens = { pose = 9 }", r"corpus.available_tokens: no domain is called 'pose'"),
        ('targets = ["marks"]\n[weights]\nprose = 1', r"weights: no target is called 'prose'.*there are: marks"),
    ],
)
def test_names_that_the_corpus_does_not_have_are_refused_with_the_nearest(
    tmp_path: Path, tiny_corpus: Path, section: str, said: str
) -> None:
    text = LEAST.replace('path = "corpus"', f'path = "{tiny_corpus}"\n{section}')
    with pytest.raises(Refused, match=rf"the plan's {said}"):
        setting_of(plan(tmp_path, text))


def test_a_setting_takes_all_of_the_corpus_unless_the_plan_chooses(tmp_path: Path, tiny_corpus: Path) -> None:
    text = LEAST.replace('path = "corpus"', f'path = "{tiny_corpus}"')
    found = setting_of(plan(tmp_path, text), open_corpus(tiny_corpus))
    assert found.domains == found.targets == ("digits", "marks", "prose")
