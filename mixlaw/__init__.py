"""Find the data mixture to pretrain a language model on.

The nouns and verbs of the command line, in Python:

    runs = mixlaw.read_runs("runs.csv")
    law = mixlaw.fit(runs)
    losses = law.predict([{"web": 0.7, "code": 0.3}], params=1e9, tokens=1e11)
    optimum = mixlaw.optimize(law, params=1e9, tokens=1e11, limits=mixlaw.Limits.of(law.domains, caps={"code": 0.2}))
    text = mixlaw.export(optimum, "megatron")

What an input or a request causes raises `Refused`, a ValueError that says what was found, what was needed and what to
do. Losses are nats per token, proportions shares of training tokens.

To be imported from where they are: `mixlaw.design.sample` and `mixlaw.batch.next_batch` (which mixtures to run),
`mixlaw.merge.joined` (run tables of several studies), `mixlaw.sklearn.MixingLawRegressor` (a law as an estimator), and
`mixlaw.conduct.conduct` (a whole study; it trains, so it needs the extra `mixlaw[train]`).
"""

from mixlaw.errors import Refused
from mixlaw.export import export
from mixlaw.fitting.compare import compare
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import read_law, write_law
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture, read_mixture, read_mixtures, write_mixtures
from mixlaw.optimize.find import optimize
from mixlaw.optimize.optimum import Optimum, read_optimum, write_optimum
from mixlaw.plan import Plan, read_plan
from mixlaw.runs import RunTable, check_runs, read_runs, write_runs
from mixlaw.study import Study, open_study
from mixlaw.survey import Survey, survey
from mixlaw.version import __version__

__all__ = [
    "Law",
    "Limits",
    "Mixture",
    "Optimum",
    "Plan",
    "Refused",
    "RunTable",
    "Study",
    "Survey",
    "__version__",
    "check_runs",
    "compare",
    "export",
    "fit",
    "open_study",
    "optimize",
    "read_law",
    "read_mixture",
    "read_mixtures",
    "read_optimum",
    "read_plan",
    "read_runs",
    "survey",
    "write_law",
    "write_mixtures",
    "write_optimum",
    "write_runs",
]
