"""The median stopping rule of Google Vizier (https://dl.acm.org/doi/10.1145/3097983.3098043).

Ray's form of it: the average of a curve begins with the first epoch judged, and every trial that
got so far counts, not the finished ones alone.
"""

from collections.abc import Mapping
from statistics import fmean, median

from tune.stopping.rule import Curves, StoppingRule

#: With fewer other trials at an epoch, their median says little.
MIN_TRIALS = 3


class Median(StoppingRule):
    """Stop a trial whose best value is worse than the median trial's average up to that epoch.

    It asks after every epoch from ``grace_epochs`` on. An average lags behind a falling curve, so
    only trials that are clearly poor are stopped.
    """

    def __init__(self, max_epochs: int, grace_epochs: int) -> None:
        self.epochs = range(grace_epochs, max_epochs)

    def _judge(self, curves: Curves, number: int, epoch: int) -> bool:
        averages = [
            fmean(self._judged_values(curve, epoch))
            for other, curve in curves.items()
            if other != number and epoch in curve
        ]
        if len(averages) < MIN_TRIALS:
            return False
        return min(self._judged_values(curves[number], epoch)) > median(averages)

    def _judged_values(self, curve: Mapping[int, float], epoch: int) -> list[float]:
        return [value for e, value in curve.items() if self.epochs[0] <= e <= epoch]
