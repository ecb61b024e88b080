"""A retraining from its options to its folder: prepare, train, evaluate."""

import platform
import time
from argparse import Namespace
from contextlib import ExitStack

from tune import cluster
from tune.console import labelled
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import Callback, RunStart
from tune.execution.session import SearchSession, interruptible
from tune.execution.trainable import trial_job
from tune.options.retrain import RetrainOptions
from tune.records.provenance import (
    command_line,
    commit,
    describe_faces,
    list_code_changes,
    now,
    refuse_other_training,
    versions,
)
from tune.records.retrain import RETRAIN, ChosenConfig, Job, RetrainRecord, SharedHardware
from tune.records.run_folder import FAILED, FINISHED, INTERRUPTED, RUNNING, RetrainFolder
from tune.records.trials import TrialRecord
from tune.retrain.evaluate import evaluate
from tune.retrain.models import RetrainStudy, training_rows
from tune.retrain.plan import Plan, prepare, prepare_resumed
from tune.retrain.screen import RetrainScreen
from tune.spaces.objectives import Metrics
from tune.tracking.wandb_logger import WandbLogger, resolve_mode
from utkface.config import TRAINING_VERSION
from utkface.data.faces import write_data_tables
from utkface.evaluation.records import read_evaluation
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


def resume(folder: RetrainFolder, given: Namespace) -> int:
    """Go on with an interrupted retraining, or evaluate a finished one anew."""
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        record = folder.record
        refuse_other_training(record, "start a new retraining")
        for change in list_code_changes(record):
            print(labelled("changed", change))
        options = record.options.resumed_with(given, "the retraining", "a new one")
        plan = prepare_resumed(options, record)
        record.options, record.question = options, plan.question
        return Retraining(plan, folder, record).run(stack)


class Retraining(Callback):
    """One run of the command over a folder: trains what is missing, then evaluates."""

    def __init__(self, plan: Plan, folder: RetrainFolder, record: RetrainRecord) -> None:
        self.plan, self.folder, self.record = plan, folder, record
        self.trained = RetrainStudy(folder.journal)
        self.checkpoints = CheckpointStore.of_run(plan.options.storage, folder.path)
        self._wall_s = record.wall_s - time.monotonic()
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
        begun = RunStart(self.record, self.folder.path, wandb_line=wandb_line)
        for callback in callbacks:
            callback.search_started(begun)
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
        self.record.status = RUNNING
        joined = self._join(stack, screen)
        self._save()
        rows = {job.rows: training_rows(self.plan.splits[job.protocol], job.part) for job in jobs}
        shared = trial_job(
            self.plan.faces, rows, self._weights, self.checkpoints, joined.resources,
            joined.images_ref,
        )  # fmt: skip
        with interruptible(session, None):
            run_trials(shared, self.folder, session, joined.resources)

    def epoch_finished(self, number: int, metrics: Metrics) -> None:
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
        resources = joined.resources
        self.record.hardware = SharedHardware(
            machine=platform.machine(),
            **vars(cluster.hardware()),
            concurrency=resources.concurrency,
            cpus_per_trial=resources.cpus_per_trial,
            gpus_per_trial=resources.gpus_per_trial,
        )
        return joined

    def _save(self) -> None:
        """Write ``retrain.json``."""
        self.record.models = [record.to_record() for record in self.trained.records()]
        self.record.wall_s = round(self._wall_s + time.monotonic(), 1)
        self.folder.write_record(self.record)

    def _finish(self, screen: RetrainScreen, interrupted: bool) -> int:
        """Evaluate what has been trained; return the exit status."""
        if interrupted:
            self.record.status, self.record.ended = INTERRUPTED, now()
            self._save()
            command = f"{UV_RUN}python tune/retrain_best.py --resume {self.folder.path.name}"
            screen.say(labelled("go on", command))
            return 130
        records = self.trained.records()
        trained = [record for record in records if record.state == "COMPLETE"]
        failed = [record for record in records if record.state == "FAIL"]
        if not any(record.job.purpose == RETRAIN for record in trained):
            self.record.status, self.record.ended = FAILED, now()
            self._save()
            screen.say(f"error: no model could be trained; the first failed: {failed[0].reason}")
            return 1
        for line in evaluate(self.plan, self.folder, self.record, trained, self.checkpoints):
            screen.say(line)
        self.record.status, self.record.ended = FINISHED, now()
        self._save()
        if self._tracker is not None:
            self._tracker.evaluation_ended(read_evaluation(self.folder.path / "evaluation.json"))
        return 1 if failed else 0


def _describe(plan: Plan, folder: RetrainFolder) -> RetrainRecord:
    """Return what ``retrain.json`` says of a retraining that is about to begin."""
    return RetrainRecord(
        name=folder.path.name,
        question=plan.question,
        search=plan.options.search,
        command=command_line(),
        commit=commit(),
        versions=versions(),
        training_version=TRAINING_VERSION,
        options=plan.options,
        finalists=[
            ChosenConfig(label=finalist.label, config=finalist.config.to_dict())
            for finalist in plan.finalists
        ],
        data=describe_faces(plan.faces),
        created=now(),
        status=RUNNING,
    )
