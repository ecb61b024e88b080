"""Age and gender from a face: data, model, training and evaluation, in plain PyTorch.

Nothing in this package imports Ray, Optuna or Weights & Biases; the packages ``tune`` and
``search_spaces`` import this one, never the other way round.
"""
