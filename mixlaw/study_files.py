"""What lies in a study's folder, and under which name.

plan.toml                  the science; all else comes of it
corpus.json                the manifest of the corpus: what the domains hold
weights.json               importance of each target
available.json             unique tokens by domain that a run may use
mixtures.csv               the mixtures of the swarm, by name
runs.csv                   the run table of the proxies, rebuilt from the records
law.json                   what was fitted to it
optimum.json               the best mixture for the target
full_runs.csv              the run table of the full runs, likewise rebuilt
weights_over_time.csv      what full runs whose weights move read by, from the records
probe.csv                  what a final phase owes to each domain
runs/records-<n>.jsonl     what writer n measured, one checksummed record a line; the truth that tables follow
runs/worker-<n>.log        what worker n said on stderr, and the tracebacks of runs that crashed
runs/queue/                what waits, and who trains what, while a training goes on
runs/slurm/                what submitit submits, and the logs of its jobs
runs/lock                  who is training here now
checkpoints/<run>.safetensors         the state of a full run under way; deleted at its end
checkpoints/base-<hash>.safetensors   where the first stage of runs with stages begins, for those that share it
models/<run>/              the model of a full run, as `transformers` loads it
<name>/                    a search for a mixture, laid out like a study, with `found.json`, what it found
"""

PLAN, CORPUS, WEIGHTS, AVAILABLE = "plan.toml", "corpus.json", "weights.json", "available.json"
MIXTURES, RUNS, FULL_RUNS = "mixtures.csv", "runs.csv", "full_runs.csv"
LAW, OPTIMUM = "law.json", "optimum.json"
WEIGHTS_OVER_TIME, PROBE, FOUND = "weights_over_time.csv", "probe.csv", "found.json"
RECORDS, CHECKPOINTS, MODELS = "runs", "checkpoints", "models"
