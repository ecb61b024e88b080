"""The search: everything that knows of Ray, Optuna or Weights & Biases."""

import os

# Here, because Ray reads most of these when it is imported, and this file comes before all others.
for _name, _value in {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers use this environment, they do not build one
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody is told of a search unasked
    "RAY_AIR_NEW_OUTPUT": "0",  # tune.console shows the search, not Ray
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # tune.execution names those that are wanted
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # tune.execution ends an interrupted search in order
    "TUNE_GLOBAL_CHECKPOINT_S": "30",  # that often event files reach the run's folder (at a cost)
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}.items():
    os.environ.setdefault(_name, _value)

# With a token at hand Ray starts its own clusters with authentication, but joins one that asks for
# it only when told so before it is imported.
_token_file = os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token")  # noqa: PTH111
if "RAY_AUTH_TOKEN" in os.environ or os.path.exists(_token_file):  # noqa: PTH110
    os.environ.setdefault("RAY_AUTH_MODE", "token")
