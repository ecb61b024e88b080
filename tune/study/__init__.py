"""The search's memory: an Optuna study on disk, its samplers and its rules of early stopping."""
