"""Asynchronous successive halving (ASHA) as a pure function of the study.

Source: https://arxiv.org/abs/1810.05934.

Optuna's `SuccessiveHalvingPruner` and Ray's `ASHAScheduler` both keep a rung's entries beside the
values that the trials reported, and write them while they decide. A driver killed between that
write and the decision comes back with a trial that has "passed" a rung it was never judged at.
Here a rung is nothing but the values on record, so a decision can be made again after a crash, at
any later time, with the same outcome: only trials that arrived earlier count.
"""

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

#: User attribute of an epoch: {**metrics, ARRIVAL: its place in the order of all reports}.
ARRIVAL = "arrival"


def epoch_key(epoch: int) -> str:
    """Return the name of the user attribute that holds an epoch's metrics."""
    return f"epoch_{epoch:04d}"


def rungs(max_epochs: int, grace_epochs: int, reduction_factor: int) -> list[int]:
    """Return the epochs after which trials are judged: grace, grace·η, … below ``max_epochs``."""
    epochs = []
    rung = grace_epochs
    while rung < max_epochs:
        epochs.append(rung)
        rung *= reduction_factor
    return epochs


class AshaPruner(BasePruner):
    """Stop a trial at a rung unless it is among the best 1/η of those that reached it before.

    The first trial at a rung passes. With fewer than η earlier arrivals a trial passes if it is
    the best so far. Failed trials do not compete. Smaller values are better.
    """

    def __init__(self, max_epochs: int, grace_epochs: int = 1, reduction_factor: int = 3) -> None:
        self.rungs = rungs(max_epochs, grace_epochs, reduction_factor)
        self.reduction_factor = reduction_factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Say whether the trial is to stop at the epoch that it reported last."""
        epoch = trial.last_step
        if epoch not in self.rungs:
            return False
        value = trial.intermediate_values[epoch]
        earlier = [
            other.intermediate_values[epoch]
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
            and other.state != TrialState.FAIL
            and epoch in other.intermediate_values
            and _arrival(other, epoch) < _arrival(trial, epoch)
        ]
        num_passing = max(1, (len(earlier) + 1) // self.reduction_factor)
        return sum(score <= value for score in earlier) >= num_passing


def _arrival(trial: FrozenTrial, epoch: int) -> int:
    return trial.user_attrs[epoch_key(epoch)][ARRIVAL]
