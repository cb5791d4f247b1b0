"""A study: one folder, one plan, and a file for what every stage found."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixlaw.corpus.shards import Corpus, open_corpus, read_manifest
from mixlaw.design.planned import planned, planned_domains, planned_tokens, target_limits
from mixlaw.design.spread import never_varied
from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.fixed import is_fixed, nearly_constant
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import read_law
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture, read_mixtures
from mixlaw.optimize.find import optimize
from mixlaw.optimize.optimum import Optimum, read_optimum
from mixlaw.outcome import Outcome, outcomes
from mixlaw.plan import Plan, read_plan
from mixlaw.runs import RunTable, read_runs
from mixlaw.study_files import CORPUS, FULL_RUNS, LAW, MIXTURES, OPTIMUM, PLAN, RUNS
from mixlaw.train.ladder import shape_of
from mixlaw.weights import weights_of

COMPARED = ("optimum", "natural", "uniform")
"""The mixtures that full runs are made of."""


@dataclass(frozen=True)
class Study:
    """What the folder of a study holds; stages that are still to come are None or empty.

    Attributes:
        folder: where it lies.
        plan: the science.
        corpus: what the corpus holds, by its manifest; the text itself may be elsewhere or gone.
        mixtures: of the swarm, by name.
        runs: of the proxies.
        law, optimum: fitted and solved from `runs`.
        full_runs: at the target; `group` names the mixture of each.
    """

    folder: Path
    plan: Plan
    corpus: Corpus
    mixtures: dict[str, Mixture]
    runs: RunTable | None = None
    law: Law | None = None
    optimum: Optimum | None = None
    full_runs: RunTable | None = None

    @property
    def domains(self) -> tuple[str, ...]:
        """Trained on."""
        return planned_domains(self.plan, self.corpus.train_tokens)

    @property
    def targets(self) -> tuple[str, ...]:
        """Measured."""
        return self.plan.corpus.targets or self.corpus.domains

    @property
    def weights(self) -> dict[str, float]:
        """Importance of each target, summing to 1."""
        return dict(zip(self.targets, weights_of(self.plan.weights or None, self.targets).tolist(), strict=True))

    @property
    def available(self) -> dict[str, float]:
        """Unique tokens by domain that the plan lets a run use."""
        return planned_tokens(self.plan, self.corpus.train_tokens)

    @property
    def limits(self) -> Limits:
        """What the full run may train on."""
        return target_limits(self.plan, self.corpus.train_tokens)

    @property
    def fixed(self) -> dict[str, float]:
        """Domains that no mixture of the swarm varies, because the plan pins them or its mixtures do, and how much."""
        mixtures = np.array([mixture.aligned(self.domains) for mixture in self.mixtures.values()])
        return never_varied(mixtures, self.domains) if (mixtures != mixtures[0]).any() else {}

    @property
    def target_scale(self) -> tuple[float, float]:
        """Params and tokens of the full run."""
        return float(shape_of(self.plan.target.size).params), float(self.plan.target.tokens)

    @property
    def compared(self) -> dict[str, Mixture]:
        """The mixtures that full runs are made of, by name."""
        if self.optimum is None:
            return {}
        natural, uniform = Mixture.natural(self.available), Mixture.uniform(self.domains)
        return dict(zip(COMPARED, (self.optimum.mixture, natural, uniform), strict=True))

    @property
    def predicted(self) -> dict[str, Mixture]:
        """Those of the compared mixtures whose loss the law says: they keep to what it holds fixed.

        None of them where the law does not reach the target's scale, as one of runs of a single scale does not.
        """
        law = self.law
        if law is None or not law.reaches(*self.target_scale):
            return {}
        return {
            name: mixture
            for name, mixture in self.compared.items()
            if all(is_fixed(share, mixture.as_dict().get(domain, 0.0)) for domain, share in law.fixed.items())
        }

    @property
    def is_trained(self) -> bool:
        """Whether the mixture that was chosen has been trained in full."""
        return self.full_runs is not None and COMPARED[0] in set(self.full_runs.frame.get("group", ()))

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What was predicted for the compared mixtures and what their full runs measured; other runs are left out."""
        predicted = self.predicted
        if self.law is None or self.full_runs is None or not predicted:
            return ()
        params, tokens = self.target_scale
        predictions = self.law.predict(predicted, params=params, tokens=tokens, weights=self.weights)
        frame = self.full_runs.frame
        known = self.full_runs if "group" not in frame else self.full_runs.where(frame["group"].isin(predicted))
        return outcomes(predictions, known, self.weights) if len(known) else ()


def open_study(folder: Path | str) -> Study:
    """Read a study's folder, whatever stage it has reached.

    Raises:
        Refused: if the folder holds no plan, or a file of it is broken.
    """
    folder = Path(folder)
    if not (folder / PLAN).is_file():
        raise Refused(
            f"{folder} has no {PLAN}, so it is no study; write a plan, or name a law or a run table by its file"
        )
    plan = read_plan(folder / PLAN)
    manifest = folder / CORPUS
    corpus = read_manifest(manifest) if manifest.is_file() else open_corpus(plan.path(plan.corpus.path))
    mixtures, runs, full_runs = folder / MIXTURES, folder / RUNS, folder / FULL_RUNS
    law, optimum = folder / LAW, folder / OPTIMUM
    return Study(
        folder=folder,
        plan=plan,
        corpus=corpus,
        mixtures=read_mixtures(mixtures) if mixtures.is_file() else planned(plan, corpus.train_tokens),
        runs=read_runs(runs) if runs.is_file() else None,
        law=read_law(law) if law.is_file() else None,
        optimum=read_optimum(optimum) if optimum.is_file() else None,
        full_runs=read_runs(full_runs) if full_runs.is_file() else None,
    )


def solve(study: Study) -> tuple[Law, Optimum]:
    """Fit the law of a study's runs and find the best mixture for its target: what follows from the run table alone.

    A domain that the swarm was not meant to vary is held where it was, in the law and in the mixture that is found.

    Raises:
        Refused: if the runs cannot support a law, or no mixture meets the limits.
    """
    if study.runs is None:
        raise Refused(f"{study.folder} has no {RUNS}; run mixlaw train {study.folder / PLAN}")
    constant = nearly_constant(study.runs)
    law = fit(study.runs, fixed=[domain for domain in study.fixed if domain in constant])
    params, tokens = study.target_scale
    optimum = optimize(law, params=params, tokens=tokens, weights=study.weights, limits=study.limits)
    return law, optimum
