"""Programming by backprop: can a model run programs that it has only read?

import pbb
result = pbb.run("arithmetic", seeds=3)
result.scores  # one row an arm, seed, group, split and way of asking
"""

__version__ = "0.17.0"

# Not lazily: loading the module pbb.run binds `run` here to that module, and the function must come after it.
from pbb.experiment import RunResult, run

__all__ = ["RunResult", "__version__", "run"]
