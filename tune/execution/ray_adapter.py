"""Where Ray Tune meets the study: a Ray Searcher that hands out trials, a scheduler that ends them.

Both are thin: the study decides, the session's callbacks are told, Ray runs. This is the only place
where the three meet. Stock `OptunaSearch` was not used because it reports trials that were
stopped early as COMPLETE, never ends one whose metric is NaN, and cannot go on after a crash.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune as ray_tune
from ray.tune import Stopper
from ray.tune.logger import CSVLoggerCallback, TBXLoggerCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.utils.util import unflatten_dict

from tune.cluster import Resources, staged_here
from tune.execution.reporting import UNSAVED
from tune.execution.session import SearchSession
from tune.records.files import told_in_one_line
from utkface.io import UserError

#: A trial that its machine failed is tried so many times more, each time in a fresh worker.
MAX_RETRIES = 2


def run_trials(
    trainable: type[ray_tune.Trainable],
    folder: Path,
    session: SearchSession,
    resources: Resources,
    name: str = "ray",
) -> None:
    """Run trials on Ray until the session has no more of them or is asked to stop.

    ``trainable`` reports as `DurableTrainable` does; ``name`` is the folder within the run's that
    Ray writes to.
    """
    with told_in_one_line(folder), staged_here():
        # Ray asks no more once it was told that there is no more, also if a trial then fails.
        while session.has_more and not session.stop_requested.is_set():
            # Not a Tuner: on a cluster joined with ray:// that would take the session there.
            ray_tune.run(
                trainable,
                _remote=False,
                name=name,
                storage_path=str(folder),
                resources_per_trial=resources.per_trial,
                search_alg=StudySearcher(session),
                scheduler=StudyScheduler(session),
                stop=SessionStopper(session),
                num_samples=-1,  # the searcher says when it is finished
                max_concurrent_trials=resources.concurrency,
                reuse_actors=True,
                max_failures=MAX_RETRIES,
                raise_on_failed_trial=False,
                # Trials keep their own, see `DurableTrainable`.
                checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),
                # Not its JSON: a tenth of the driver's work, for what the study has already.
                callbacks=[TBXLoggerCallback(), CSVLoggerCallback()],
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
                verbose=0,
            )


def _trial_name(trial: Any) -> str:
    return f"trial_{trial.config['number']:04d}"


class _OfSession:
    """Keeps the session out of the pickles that Ray makes of what it is given.

    They serve `Tuner.restore`, which this project does without, and hold no live study.
    """

    def __init__(self, session: SearchSession) -> None:
        # A Searcher gets no metric: Ray would refuse a failed trial's result for lacking it.
        super().__init__()
        self._session = session

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_session"}


class StudySearcher(_OfSession, Searcher):
    """Hands Ray the configurations that the study suggests."""

    def suggest(  # type: ignore[override]  # Ray leaves out its own FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str:
        """Return the next configuration, or `Searcher.FINISHED`."""
        config = self._session.next_config()
        return Searcher.FINISHED if config is None else config

    def on_trial_complete(
        self, trial_id: str, result: dict | None = None, error: bool = False
    ) -> None:
        """Take note of the end: those that are results, and failures, the scheduler records."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Write nothing: the study is on disk already."""


class StudyScheduler(_OfSession, FIFOScheduler):
    """Stops a trial when the study says that it has ended."""

    def __init__(self, session: SearchSession) -> None:
        super().__init__(session)
        self._num_failures: Counter[int] = Counter()  # by trial

    @property
    def supports_buffered_results(self) -> bool:
        """Each epoch is judged, and on record, before the next one begins."""
        return False

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the newest trial that waits: an idle worker is for one without a worker.

        Ray would give it to the oldest, whose own worker is still starting, and stop that one. Of
        trials that are shorter than a start, hardly two would then ever run at a time.
        """
        waiting = (t for t in reversed(tune_controller.get_trials()) if t.status == t.PENDING)
        return next(waiting, None)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Record a trial that its machine failed, unless it is to be tried again.

        What runs Ray tries again itself. What was lost with an idle worker that was being made
        ready for it Ray reports twice, to try again and then to give up: that the study hands out
        anew.
        """
        number, reason = trial.config["number"], describe_machine_failure(_error_of(trial))
        is_reported = trial.status == trial.PENDING and trial.num_failures > 1
        self._num_failures[number] += not is_reported
        times = self._num_failures[number]
        if trial.status == trial.PENDING and times <= MAX_RETRIES:
            self._session.study.put_back(number)
        elif trial.status != trial.ERROR:
            self._session.take_failure(number, f"failed {times} times; the last: {reason}")
            return
        if not is_reported:
            self._session.take_retry(number, reason)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        """Record the epoch and pass on the study's decision."""
        result = unflatten_dict(result)
        if UNSAVED in result:
            raise UserError(result[UNSAVED])
        if self._session.take_result(trial.config["number"], result):
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP


def _error_of(trial: Any) -> BaseException | None:
    """Return what a trial failed of, if Ray knows.

    From the driver's own folder: `Trial.get_pickled_error` reads the run's, where Ray copies files
    to once in a while, and so would find the failure before or none.
    """
    file = trial.pickled_error_file
    return ray.cloudpickle.loads(Path(file).read_bytes()) if file else None


class SessionStopper(_OfSession, Stopper):
    """Ends the experiment when the session was asked to stop."""

    def __call__(self, trial_id: str, result: dict) -> bool:
        """Stop no single trial: that is the scheduler's part."""
        return False

    def stop_all(self) -> bool:
        """Say whether Ctrl-C, the time budget or repeated failures ended the search."""
        return self._session.stop_requested.is_set()


def describe_machine_failure(error: BaseException | None) -> str:
    """Return one line on why a trial's worker was given up, with a hint where there is one."""
    cause = getattr(error, "cause", None) or error
    if cause is None:
        return "its worker was lost; Ray's logs say why"
    hint = ""
    if isinstance(cause, torch.OutOfMemoryError):
        hint = "; fewer trials per GPU (--gpus-per-trial) or a smaller batch_size would fit"
    elif isinstance(cause, ray.exceptions.OutOfMemoryError):
        hint = "; fewer trials at a time (--concurrency) or a smaller batch_size would fit"
    first_line = next(filter(None, map(str.strip, str(cause).splitlines())), "")
    return f"{type(cause).__name__}: {first_line}{hint}"
