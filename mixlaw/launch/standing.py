"""Where a training stands: what is done, what has failed, what is left; and whether it is still the same training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlaw.errors import Refused
from mixlaw.launch.history import History, read_history
from mixlaw.launch.job import models_folder
from mixlaw.mixture import read_mixtures
from mixlaw.plan import Training
from mixlaw.study_files import RECORDS
from mixlaw.train.members import Member, Setting
from mixlaw.wording import counted

SHOWN = 4
"""Differences that a refusal lists."""

ROUNDED = 1e-4
"""A mixtures file may give proportions in four digits."""


@dataclass(frozen=True)
class Standing:
    """Members of a plan against the records of its folder.

    Attributes:
        members: planned.
        setting: of the study.
        folder: of the study.
        history: what the records say.
    """

    members: Sequence[Member]
    setting: Setting
    folder: Path
    history: History

    @property
    def failed(self) -> dict[str, str]:
        """Why, by run, of the planned runs that ended without all their rows."""
        runs = {member.run for member in self.members}
        return {run: str(entry["reason"]) for run, entry in self.history.recorded.failed.items() if run in runs}

    @property
    def done(self) -> set[str]:
        """Runs with all their rows on record and, if they are full runs, their models there."""
        return {member.run for member in self.members if self._is_done(member)}

    @property
    def left(self) -> list[Member]:
        """What is to be trained: all but what is done and what would fail again the same way."""
        over = self.done | {run for run, entry in self.history.recorded.failed.items() if entry["final"]}
        return [member for member in self.members if member.run not in over]

    def device_seconds(self) -> float:
        """Time that the runs which are done took of their devices; a pack takes its time once for all its runs."""
        seconds, begun = self.history.recorded.seconds, self.history.begun
        return sum(seconds.get(run, 0.0) / len(begun[run].pack) for run in self.done if run in begun)

    def device_seconds_left(self, vocabulary: int) -> float | None:
        """Time of devices that what is left will take, at the pace of the runs that are done; None before one is."""
        length = self.setting.training.sequence_length

        def work(member: Member) -> float:
            return member.total_tokens(self.setting.training) * member.shape.flops_per_token(vocabulary, length)

        spent, done = self.device_seconds(), self.done
        if not spent:
            return None
        return sum(map(work, self.left)) / sum(work(member) for member in self.members if member.run in done) * spent

    def tokens_per_s(self) -> float | None:
        """Tokens a second of one device, over the runs that are done; None before one is."""
        spent, done = self.device_seconds(), self.done
        trained = sum(member.total_tokens(self.setting.training) for member in self.members if member.run in done)
        return trained / spent if spent else None

    def check_unchanged(self, shared: Mapping[str, Any]) -> None:
        """Refuse a plan under which runs on record, of proxies or in full, would have had other numbers.

        Adding mixtures, repeats or sizes changes no run that is there, and is allowed.

        Args:
            shared: what determines the numbers of all runs now (`mixlaw.launch.job.numbers`), whose arithmetic is
                left to `check_arithmetic`.
        """
        planned = {member.run: member for member in self.members}
        defaults = {
            key: value for key, value in Training().model_dump(mode="json").items() if key in shared["training"]
        }
        for run, begun in self.history.begun.items():
            member = planned.get(run, begun.member)
            training = {**defaults, **begun.numbers.get("training", {})}  # a newer key's default changes no number
            kept = {"training": training, "arithmetic": shared["arithmetic"], "member": begun.member.as_json()}
            before = {**begun.numbers, **kept}
            different = differences(before, {**shared, "member": member.as_json()})
            if different:
                own = run in planned and member.full and all(text.startswith("member.") for text in different)
                way = "give the changed run another name" if own else "train the changed plan in another folder"
                raise Refused(
                    f"{self.folder / RECORDS}: run '{run}' was trained with other numbers: "
                    f"{'; '.join(different[:SHOWN])}; go back to those, or {way}"
                )

    def check_arithmetic(self, arithmetic: int) -> None:
        """Refuse to add to runs that another version of mixlaw trained by another arithmetic, known or not.

        Their table would hold two trainings as if they were one. What is on record stays readable, so a study of which
        nothing is left to train needs no check.

        Args:
            arithmetic: `mixlaw.train.loop.ARITHMETIC`.
        """
        for run, begun in self.history.begun.items():
            before = begun.numbers.get("arithmetic")
            if before != arithmetic:
                was = "before versions were recorded" if before is None else f"by version {before}"
                raise Refused(
                    f"{self.folder / RECORDS}: this mixlaw trains by version {arithmetic} of its arithmetic, and run "
                    f"'{run}' was trained {was}: one run table would mix the two; finish the study with the mixlaw "
                    "that began it, or train the plan in another folder (report, fit and --status read what is there)"
                )

    def check_nothing_dropped(self) -> None:
        """Refuse a plan that no longer has proxies which are on record: the run table would lose them silently."""
        runs = {member.run for member in self.members}
        begun = self.history.begun.items()
        dropped = [run for run, was in begun if run not in runs and not was.member.full]
        if dropped:
            raise Refused(
                f"{self.folder / RECORDS} holds {counted(len(dropped), 'run')} that the plan no longer has "
                f"({', '.join(dropped[:SHOWN])}); put them back, or train the changed plan in another folder"
            )

    def check_mixtures_file(self, path: Path) -> None:
        """Refuse to replace a mixtures file that holds others than the planned: somebody meant those to be trained."""
        if not path.exists():
            return
        planned = {member.group: member.mixture.as_dict() for member in self.members}
        for name, mixture in read_mixtures(path).items():
            shares, asked = mixture.as_dict(), planned.get(name, {})
            if any(abs(shares.get(domain, 0.0) - asked.get(domain, 0.0)) > ROUNDED for domain in shares | asked):
                raise Refused(
                    f"{path} holds a mixture '{name}' that the plan would not train; it is not overwritten: to train "
                    f'the mixtures of the file write file = "{path.name}" under [design] of the plan, to train the '
                    "plan's design move the file away"
                )

    def _is_done(self, member: Member) -> bool:
        training = self.setting.training
        wanted = {step * training.batch_tokens for step in member.steps(training)}
        recorded = self.history.recorded
        if not wanted <= set(recorded.rows.get(member.run, {})) or member.run in recorded.failed:
            return False
        return not member.full or (models_folder(self.folder) / member.run).is_dir()


def standing(members: Sequence[Member], setting: Setting, folder: Path) -> Standing:
    """Read where a training stands.

    Raises:
        Refused: for a mixture of a domain that the plan does not train on, or damaged records.
    """
    for member in members:
        try:
            member.mixture.aligned(setting.domains)
        except Refused as error:
            raise Refused(f"mixture '{member.group}': {error}") from None
    return Standing(members, setting, folder, read_history(folder / RECORDS))


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """What differs between two specifications, as "training.clip was 1.0, is 2.0"."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found: list[str] = []
        for key in sorted({*before, *now}):
            found += differences(before.get(key), now.get(key), f"{place}.{key}" if place else str(key))
        return found
    return [] if before == now else [f"{place} was {_short(before)}, is {_short(now)}"]


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
