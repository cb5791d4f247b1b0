"""Random programs are shared with the benchmark, so that its claims are about what the tests protect."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
