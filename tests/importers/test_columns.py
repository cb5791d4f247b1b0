"""Names become columns as the user says, and only so."""

import pytest

from mixlaw.errors import Refused
from mixlaw.importers.base import Log, LoggedRun
from mixlaw.importers.columns import parse_rule, resolve
from mixlaw.importers.likely import likely_count, likely_losses, likely_mixture, likely_unit
from mixlaw.importers.names import parse_pattern

NAMES = ("eval/code_loss", "eval/web_loss", "lr", "mix.code", "mix.web", "step", "tokens", "train/loss")


def roles(*said: str, assumed: tuple[str, ...] = ()) -> dict[str, str]:
    return resolve([parse_rule(rule) for rule in said], [parse_rule(rule) for rule in assumed], NAMES, "log")


def test_names_of_a_run_table_need_no_rule() -> None:
    same = ("lr", "mix.code", "mix.web", "step", "tokens")
    assert roles() == {name: name for name in same}


def test_a_pattern_names_every_match() -> None:
    found = roles("loss.*=eval/*_loss")
    assert found["loss.web"] == "eval/web_loss" and found["loss.code"] == "eval/code_loss"
    assert "train/loss" not in found.values()


def test_an_exact_rule_is_no_longer_free_for_a_pattern() -> None:
    found = roles("loss.main=eval/web_loss", "loss.*=eval/*_loss")
    assert found["loss.main"] == "eval/web_loss" and "loss.web" not in found and "loss.code" in found


def test_what_the_user_says_of_a_family_replaces_what_the_format_assumes() -> None:
    assert "loss.web" in roles(assumed=("loss.*=eval/*_loss",))
    found = roles("loss.only=eval/code_loss", assumed=("loss.*=eval/*_loss",))
    assert [column for column in found if column.startswith("loss.")] == ["loss.only"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("loss.web", "is not COLUMN=NAME"),
        ("loss.*=eval/web", r"needs one \* on both sides or none"),
        ("loss.*.*=a*b*", r"needs one \* on both sides or none"),
        ("lost.web=eval/web", r"column 'lost.web'; a run table has run, params, tokens"),
        ("loss.=eval/web", "column 'loss.'"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        parse_rule(rule)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["loss.web=eval/wbe_loss"], r"loss.web cannot be found.*did you mean 'eval/web_loss'"),
        (["loss.*=valid/*"], r"no name is like 'valid/\*'; there are: eval/code_loss"),
        (["loss.web=eval/web_loss", "loss.web=eval/code_loss"], "would both become loss.web"),
    ],
)
def test_a_rule_that_does_not_fit_the_log_is_refused(rules: list[str], message: str) -> None:
    with pytest.raises(Refused, match=message):
        roles(*rules)


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (NAMES, "loss.*=eval/*_loss"),
        (("val/wiki/loss", "val/web/loss", "step"), "loss.*=val/*/loss"),
        (("web_loss", "wiki_loss"), "loss.*=*_loss"),
        (("eval/loss", "train/loss"), "loss.NAME=eval/loss"),
        (("eval/loss", "eval/web_loss"), "loss.*=eval/*"),
        (("eval/web", "step"), "loss.*=eval/*"),
        (("eval_loss", "loss", "train_loss"), "loss.NAME=eval_loss"),
        (("arc/acc", "code/bits_per_byte", "web/bits_per_byte"), "loss.*=*/bits_per_byte"),
    ],
)
def test_names_that_look_like_losses_are_told_with_the_rule_that_takes_them(names: tuple[str, ...], rule: str) -> None:
    assert likely_losses(names) == rule


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"data.mixture.web": 0.25, "data.mixture.code": 0.75, "lr": 0.1}, "mix.*=data.mixture.*"),
        ({"web_share": 40.0, "code_share": 60, "top.p": 0.5, "top.q": 0.25}, "mix.*=*_share"),
        ({"adam.beta1": 0.9, "adam.beta2": 0.95}, None),
        ({"p.web": 0.5, "p.code": "half"}, None),
    ],
)
def test_names_whose_values_sum_to_one_are_told_with_the_rule_that_takes_them(
    settings: dict[str, object], rule: str | None
) -> None:
    assert likely_mixture(Log("log", (LoggedRun("a", (), settings),))) == rule
    same = tuple(LoggedRun(name, (), settings) for name in ("a", "b"))
    assert likely_mixture(Log("log", same)) is None, "what no run varies is no mixture of a swarm"


@pytest.mark.parametrize(
    ("name", "unit"),
    [("*/bits_per_byte", "bits-per-byte"), ("eval_ppl", "perplexity"), ("web_bpb", "bits-per-byte"), ("loss", "nats")],
)
def test_a_name_tells_the_unit_it_says(name: str, unit: str) -> None:
    assert likely_unit(name) == unit


def test_the_checkpoints_of_a_run_that_were_logged_apart_share_its_name() -> None:
    assert parse_pattern("{run}/step{step}").read("web-0.5/a/step200") == {"run": "web-0.5/a", "step": 200.0}


def test_names_of_counts_are_told() -> None:
    names = ("model.n_params", "tokens_per_step", "train/tokens_seen", "lr")
    assert likely_count("params", names) == "params=model.n_params"
    assert likely_count("tokens", names) == "tokens=train/tokens_seen"
    assert all(likely_count("tokens", (name,)) is None for name in ("lr", "tokens (B)", "tokens_per_step", "tokens_B"))


def test_a_run_name_says_its_mixture_size_and_seed() -> None:
    pattern = parse_pattern("{params}-web{mix.web}_code{mix.code}_math{mix.math%}-{_}-s{seed}")
    assert pattern.read("160M-web0.25_code.5_math25-take two-s3".replace(".5_", "0.5_")) == {
        "params": 160e6,
        "mix.web": 0.25,
        "mix.code": 0.5,
        "mix.math": 0.25,
        "seed": 3.0,
    }


def test_a_name_that_is_not_of_the_pattern_is_refused() -> None:
    with pytest.raises(Refused, match=r"name of run 'baseline' is not like .*--only"):
        parse_pattern("web{mix.web}").read("baseline")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain", "has no field"),
        ("{web}", "is no field"),
        ("{mix.a}-{mix.a}", "stands twice"),
        ("{mix.}", "is no field"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        parse_pattern(text)
