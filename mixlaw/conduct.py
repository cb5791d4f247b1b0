"""Carry a study out, from its plan to its measured answer; what is measured stays."""

from dataclasses import replace
from pathlib import Path
from shutil import copyfile

from mixlaw.corpus.shards import MANIFEST, open_corpus
from mixlaw.files import replacing, write_json
from mixlaw.fitting.law_file import write_law
from mixlaw.launch.progress import Watching
from mixlaw.launch.swarm import train_full, train_swarm
from mixlaw.optimize.optimum import write_optimum
from mixlaw.study import Study, open_study, solve
from mixlaw.study_files import AVAILABLE, CORPUS, LAW, OPTIMUM, WEIGHTS
from mixlaw.wording import counted, in_words


def conduct(folder: Path | str, watching: Watching, workers: int | None = None) -> Study:
    """Train the swarm, fit the law, find the optimum, train it and the baselines in full.

    Args:
        folder: holds `plan.toml`; everything that comes of it is written here.
        watching: told what is trained.
        workers: runs at a time; None for one a core, or one a GPU.

    Raises:
        Refused: for a plan that cannot be carried out, saying why; what was measured by then is kept.
    """
    study = open_study(folder)
    folder, plan = study.folder, study.plan
    study.limits.with_fixed(study.fixed, "the same in every mixture of the swarm")  # refused before anything is trained
    with replacing(folder / CORPUS) as manifest:
        copyfile(open_corpus(plan.path(plan.corpus.path)).path / MANIFEST, manifest)
    write_json(folder / WEIGHTS, study.weights)
    write_json(folder / AVAILABLE, study.available)
    runs = len(plan.proxies.sizes) * (len(study.mixtures) + plan.design.repeats)
    watch = watching(f"{counted(runs, 'proxy run')} of {' and '.join(plan.proxies.sizes)}")
    study = replace(study, runs=train_swarm(plan, study.mixtures, folder, watch, workers=workers))
    law, optimum = solve(study)
    write_law(law, folder / LAW)
    write_optimum(optimum, folder / OPTIMUM)
    study = replace(study, law=law, optimum=optimum)
    full = len(study.compared) * plan.target.seeds
    watch = watching(f"{counted(full, 'full run')} of {plan.target.size} on {in_words(plan.target.tokens)} tokens")
    return replace(study, full_runs=train_full(plan, study.compared, folder, watch, workers=workers))
