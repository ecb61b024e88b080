"""Which learning-rate schedule is best, and does freezing the backbone at first help?

The reference asked this in four sweeps (one_cycle, reduce_on_plateau, step_lr, freeze_epochs);
here a trial suggests only what its own schedule uses.
"""

from typing import Any

from optuna.trial import BaseTrial

from search_spaces.common import BEST_GUESS, REFERENCE, suggest_optimizer

# A rate that does not warm up starts lower than the peak of a cycle.
_STEADY = {"max_lr": 1e-3, "weight_decay": BEST_GUESS["weight_decay"]}

POINTS = [
    REFERENCE,
    BEST_GUESS,
    {
        **_STEADY,
        "schedule": "plateau",
        "plateau_factor": 0.3,
        "plateau_patience_epochs": 1,
        "freeze_epochs": 1,
    },
    {**_STEADY, "schedule": "step", "step_epochs": 3, "step_factor": 0.3, "freeze_epochs": 0},
]


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """Suggest the optimiser, the frozen epochs, a schedule and that schedule's own parameters."""
    suggest_optimizer(trial)
    trial.suggest_int("freeze_epochs", 0, 2)
    schedule = trial.suggest_categorical("schedule", ["one_cycle", "plateau", "step"])
    if schedule == "one_cycle":
        trial.suggest_float("pct_start", 0.1, 0.5)
        trial.suggest_float("div_factor", 5.0, 100.0, log=True)
        trial.suggest_float("final_div_factor", 1e2, 1e5, log=True)
    elif schedule == "plateau":
        trial.suggest_float("plateau_factor", 0.1, 0.7)
        trial.suggest_int("plateau_patience_epochs", 0, 3)
    else:
        trial.suggest_int("step_epochs", 1, 6)
        trial.suggest_float("step_factor", 0.1, 0.9)
    return {}
