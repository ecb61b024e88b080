"""The search: everything that knows of Ray, Optuna or Weights & Biases."""
