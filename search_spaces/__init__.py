"""One small module per question that a search answers.

A space is a Python file with a docstring (its first line is the question), ``suggest(trial)`` in
Optuna's define-by-run style, which returns the hyperparameters it holds constant, and ``POINTS``,
configurations to try first; what a point leaves out is sampled. Names are those of
`utkface.config.TrainConfig`. It may have ``OBJECTIVES``, the metrics to minimise unless the command
line names others. A space inherits from another by calling its functions. ``--space`` takes a name
from this folder or a path; `tune.spaces` loads and checks it.
"""
