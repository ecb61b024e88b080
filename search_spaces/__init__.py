"""One small module per question that a search answers, and the loader that checks them.

A space is a Python file with a docstring (its first line is the question), ``suggest(trial)`` in
Optuna's define-by-run style, which returns the hyperparameters it holds constant, and ``POINTS``,
configurations to try first. Names are those of `utkface.config.TrainConfig`. It may have
``OBJECTIVES``, the metrics to minimise unless the command line names others. A space inherits from
another by calling its functions. ``--space`` takes a name from this folder or a path.
"""

from search_spaces._catalogue import list_spaces
from search_spaces._loader import load_space
from search_spaces._objectives import DEFAULT_OBJECTIVES, OBJECTIVES, check_objectives
from search_spaces._signature import describe_change
from search_spaces._space import Fit, Space

__all__ = [
    "DEFAULT_OBJECTIVES", "OBJECTIVES", "Fit", "Space", "check_objectives", "describe_change",
    "list_spaces", "load_space",
]  # fmt: skip
