"""A retraining from its options to its folder: prepare, train, evaluate."""

import time
from contextlib import ExitStack
from typing import Any

from tune import cluster
from tune.console.lines import labelled
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import Callback
from tune.execution.session import SearchSession, interruptible
from tune.execution.trainable import trial_job
from tune.records.provenance import (
    command_line,
    commit,
    describe_faces,
    list_code_changes,
    now,
    refuse_other_training,
    versions,
)
from tune.records.run_folder import FAILED, FINISHED, INTERRUPTED, RUNNING, RetrainFolder
from tune.records.trials import TrialRecord
from tune.retrain.evaluate import evaluate
from tune.retrain.models import RETRAIN, Job, RetrainStudy, training_rows
from tune.retrain.options import RetrainOptions
from tune.retrain.plan import Plan, prepare, prepare_resumed
from tune.retrain.screen import RetrainScreen
from tune.tracking.wandb_logger import WandbLogger, resolve_mode
from utkface.config import TRAINING_VERSION
from utkface.data.faces import write_data_tables
from utkface.io import UV_RUN


def start(options: RetrainOptions) -> int:
    """Retrain and evaluate; return the exit status."""
    plan = prepare(options)
    resolve_mode(options.wandb)  # says at once that online needs a key
    with ExitStack() as stack:
        folder = RetrainFolder.create(options.results, plan.name)
        stack.enter_context(folder.lock())
        write_data_tables(plan.faces, folder.path / "data")
        for protocol, split in plan.splits.items():
            split.save(folder.path / "data" / f"split-{protocol}.json", plan.faces.table)
        record = _describe(plan, folder)
        folder.write_record(record)
        return Retraining(plan, folder, record).run(stack)


def resume(folder: RetrainFolder, given: dict[str, Any]) -> int:
    """Go on with an interrupted retraining, or evaluate a finished one anew."""
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        record = folder.record
        refuse_other_training(record, "start a new retraining")
        for change in list_code_changes(record):
            print(labelled("changed", change))
        options = RetrainOptions(**record["options"]).resumed_with(given)
        plan = prepare_resumed(options, record)
        record |= {"options": options.to_dict(), "question": plan.question}
        return Retraining(plan, folder, record).run(stack)


class Retraining(Callback):
    """One run of the command over a folder: trains what is missing, then evaluates."""

    def __init__(self, plan: Plan, folder: RetrainFolder, record: dict[str, Any]) -> None:
        self.plan, self.folder, self.record = plan, folder, record
        self.trained = RetrainStudy(folder.journal)
        self.checkpoints = CheckpointStore.of_run(plan.options.storage, folder.path)
        self._wall_s = record["wall_s"] - time.monotonic()
        self._weights = cluster.Weights.read(plan.weights)
        self._tracker: WandbLogger | None = None

    def run(self, stack: ExitStack) -> int:
        """Train and evaluate; return the exit status."""
        self.checkpoints.check()
        jobs = self.plan.jobs()
        self.trained.add(jobs)
        titles = [job.title for job in self.trained.jobs]
        screen = stack.enter_context(RetrainScreen(titles))
        callbacks: list[Callback] = [screen]
        mode, wandb_line = resolve_mode(self.plan.options.wandb)
        if mode != "disabled":
            tracker = self._tracker = WandbLogger(
                mode,
                self.folder.path,
                say=screen.say,
                job_type="retrain",
                run_name=lambda number: titles[number],
            )
            stack.callback(tracker.close)
            callbacks.append(tracker)
        callbacks.append(self)
        shown = {"folder": self.folder.path, "wandb_line": wandb_line}
        for callback in callbacks:
            callback.search_started({**self.record, **shown, "group": self.record["search"]})
        session = SearchSession(
            self.trained.study, len(titles), callbacks, self.checkpoints,
            replace_failed=False, num_best=len(titles),
        )  # fmt: skip
        if session.has_more:
            self._train(jobs, session, stack, screen)
        return self._finish(screen, session.interrupted)

    def _train(
        self, jobs: list[Job], session: SearchSession, stack: ExitStack, screen: RetrainScreen
    ) -> None:
        """Train what is not trained yet."""
        self.record["status"] = RUNNING
        joined = self._join(stack, screen)
        self._save()
        rows = {job.rows: training_rows(self.plan.splits[job.protocol], job.part) for job in jobs}
        shared = trial_job(
            self.plan.faces, rows, self._weights, self.checkpoints, joined.resources,
            joined.images_ref,
        )  # fmt: skip
        with interruptible(session, None):
            run_trials(shared, self.folder, session, joined.resources)

    def epoch_finished(self, number: int, metrics: dict[str, Any]) -> None:
        """Write ``retrain.json``, so that it can be read at any time."""
        self._save()

    def trial_ended(self, record: TrialRecord) -> None:
        """Write ``retrain.json``."""
        self._save()

    def _join(self, stack: ExitStack, screen: RetrainScreen) -> cluster.Joined:
        plan = self.plan
        configs = [finalist.config for finalist in plan.finalists]
        joined = cluster.join(stack, plan.options, plan.faces, self._weights, configs)
        if joined.dashboard:
            screen.say(labelled("dashboard", f"{joined.dashboard} (token: ray get-auth-token)"))
        self.record |= {"hardware": cluster.describe(joined.resources)}
        return joined

    def _save(self) -> None:
        """Write ``retrain.json``."""
        self.record["models"] = [record.to_dict() for record in self.trained.records()]
        self.record["wall_s"] = round(self._wall_s + time.monotonic(), 1)
        self.folder.write_record(self.record)

    def _finish(self, screen: RetrainScreen, interrupted: bool) -> int:
        """Evaluate what has been trained; return the exit status."""
        if interrupted:
            self.record |= {"status": INTERRUPTED, "ended": now()}
            self._save()
            command = f"{UV_RUN}python tune/retrain_best.py --resume {self.folder.path.name}"
            screen.say(labelled("go on", command))
            return 130
        records = self.trained.records()
        trained = [record for record in records if record.state == "COMPLETE"]
        failed = [record for record in records if record.state == "FAIL"]
        if not any(record.job.purpose == RETRAIN for record in trained):
            self.record |= {"status": FAILED, "ended": now()}
            self._save()
            screen.say(f"error: no model could be trained; the first failed: {failed[0].reason}")
            return 1
        for line in evaluate(self.plan, self.folder, self.record, trained, self.checkpoints):
            screen.say(line)
        self.record |= {"status": FINISHED, "ended": now()}
        self._save()
        if self._tracker is not None:
            self._tracker.evaluation_ended(self.folder.evaluation)
        return 1 if failed else 0


def _describe(plan: Plan, folder: RetrainFolder) -> dict[str, Any]:
    """Return the content of ``retrain.json`` for a retraining that is about to begin."""
    return {
        "name": folder.path.name,
        "question": plan.question,
        "search": plan.options.search,
        "command": command_line(),
        "commit": commit(),
        "versions": versions(),
        "training_version": TRAINING_VERSION,
        "hardware": {},
        "options": plan.options.to_dict(),
        # Kept here: by the time that this goes on, the search may have found a better one.
        "finalists": [
            {"label": finalist.label, "config": finalist.config.to_dict()}
            for finalist in plan.finalists
        ],
        "data": describe_faces(plan.faces),
        "created": now(),
        "ended": None,
        "status": RUNNING,
        "wall_s": 0.0,
        "models": [],
    }
