"""What every rule of early stopping has in common: it judges by the record and by nothing else.

Ray's schedulers and Optuna's pruners keep state beside the values that the trials reported, and
write it while they decide. A driver killed between that write and the decision comes back with a
trial that has "passed" a rung it was never judged at; one killed later has forgotten its rungs. A
rule here is given the values that had arrived when a trial was judged, so it can be asked again
after a crash, at any later time, with the same outcome.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

#: Values, lower is better, by trial number and epoch.
Curves = Mapping[int, Mapping[int, float]]
#: The same for several objectives.
VectorCurves = Mapping[int, Mapping[int, tuple[float, ...]]]


class StoppingRule(ABC):
    """Says after which of its epochs a trial is stopped."""

    #: The epochs after which a trial may be judged, in ascending order.
    epochs: Sequence[int] = ()

    def stops(self, curves: Curves, number: int) -> bool:
        """Say whether trial ``number`` is to stop after the last epoch of its curve.

        ``curves`` is all that had arrived by then, that epoch included; trials that failed since
        are part of it, as they were when others were judged beside them.
        """
        epoch = max(curves[number])
        return epoch in self.epochs and self._judge(curves, number, epoch)

    @abstractmethod
    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        """Say whether to stop a trial after one of the rule's epochs."""


class NeverStop(StoppingRule):
    """Let every trial run to its end."""

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        return False
