"""The search: everything that knows of Ray, Optuna or Weights & Biases."""

import os

# Here, because Ray reads most of these when it is imported, and this file comes before all others.
for _name, _value in {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers use this environment, they do not build one
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody is told of a search unasked
    "RAY_AIR_NEW_OUTPUT": "0",  # tune.screen shows the search, not Ray
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # tune.search ends an interrupted search in order
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # and does not wait for an epoch to end
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}.items():
    os.environ.setdefault(_name, _value)
