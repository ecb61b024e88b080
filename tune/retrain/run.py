"""A retraining from its options to its folder: prepare, train, evaluate."""

import shlex
import time
from argparse import Namespace
from contextlib import ExitStack

from tune import cluster
from tune.console import labelled
from tune.execution.checkpoints import CheckpointStore
from tune.execution.ray_adapter import run_trials
from tune.execution.reporting import Callback, RunStart
from tune.execution.session import SearchSession, interruptible
from tune.execution.trainable import face_trainable, time_epoch, trial_job
from tune.options.retrain import RetrainOptions
from tune.records.files import Status
from tune.records.provenance import (
    about_run,
    describe_faces,
    list_code_changes,
    now,
    refuse_another_device,
    refuse_other_training,
)
from tune.records.retrain import FOLD, RETRAIN, ChosenConfig, Job, RetrainRecord
from tune.records.run_folder import (
    FAILED,
    FINISHED,
    INTERRUPTED,
    RUNNING,
    RetrainFolder,
    SearchFolder,
)
from tune.records.trials import TrialRecord
from tune.report.facts import from_here
from tune.retrain.evaluate import evaluate
from tune.retrain.plan import Plan, RetrainStudy
from tune.retrain.prepare import check_weights, prepare, prepare_resumed, refuse_other_weights
from tune.retrain.screen import RetrainScreen
from tune.retrain.teachers import load_teachers, refuse_other_teachers, teach
from tune.spaces.objectives import Metrics
from tune.tracking.wandb_logger import WandbLogger, resolve_mode
from utkface.config import TrainConfig
from utkface.data.faces import write_data_tables
from utkface.evaluation.facts import SharedHardware
from utkface.evaluation.records import read_evaluation
from utkface.evaluation.report.text import show_duration
from utkface.io import UV_RUN


def start(options: RetrainOptions, search: SearchFolder | None) -> int:
    """Retrain and evaluate; return the exit status."""
    plan = prepare(options, search)
    resolve_mode(options.wandb)  # says at once that online needs a key
    with ExitStack() as stack:
        joined = _join(stack, plan)
        folder = RetrainFolder.create(options.results, plan.name)
        stack.enter_context(folder.lock())
        write_data_tables(plan.faces, folder.path / "data")
        for protocol, split in plan.splits.items():
            split.save(folder.path / "data" / f"split-{protocol}.json", plan.faces.table)
        record = RetrainRecord(
            **about_run(folder),
            question=plan.question,
            search=plan.options.search,
            search_split=plan.search_split,
            options=plan.options,
            finalists=[
                ChosenConfig(label=finalist.label, config=finalist.config.to_dict())
                for finalist in plan.finalists
            ],
            data=describe_faces(plan.faces),
            weights_hash=cluster.Weights.read(plan.weights).fingerprint,
            splits={protocol: split.hash for protocol, split in plan.splits.items()},
        )
        folder.write_record(record)
        return Retraining(plan, folder, record, joined).run(stack)


def resume(folder: RetrainFolder, given: Namespace) -> int:
    """Go on with an interrupted retraining, or evaluate a finished one anew."""
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        record = folder.record
        folder.refuse_without_journal(has_results=bool(record.models))
        refuse_other_training(record, "start a new retraining")
        for change in list_code_changes(record):
            print(labelled("changed", change))
        vars(given).setdefault("evaluate", True)  # whatever the session before was told
        options = record.options.resumed_with(
            given, folder.path.parent, "the retraining", "a new one"
        )
        plan = prepare_resumed(options, record)
        record.options, record.question = options, plan.question
        return Retraining(plan, folder, record).run(stack)


class Retraining(Callback):
    """One run of the command over a folder: trains what is missing, then evaluates.

    Without ``joined`` it starts or joins Ray if there is something to train.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RetrainFolder,
        record: RetrainRecord,
        joined: cluster.Joined | None = None,
    ) -> None:
        self.plan, self.folder, self.record = plan, folder, record
        self._joined = joined
        self.trained = RetrainStudy(folder.journal)
        self.checkpoints = CheckpointStore.of_run(plan.options.storage, folder.path, record.name)
        self._wall_s = record.wall_s - time.monotonic()
        self._tracker: WandbLogger | None = None

    def run(self, stack: ExitStack) -> int:
        """Train and evaluate; return the exit status."""
        self.checkpoints.check()
        jobs = self.plan.jobs()
        self.trained.plan(jobs)
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
        for record in self.plan.select(self.trained.records()):
            if record.state == "FAIL":  # and would again
                screen.say(f"{record.job.title} failed before: {record.reason}")
        session = SearchSession(
            self.trained.study, len(titles), callbacks, self.checkpoints,
            replace_failed=False, keep=list,  # all
        )  # fmt: skip
        if session.has_more:
            self._train(jobs, session, stack, screen)
        return self._finish(screen, session.interrupted)

    def _train(
        self, jobs: list[Job], session: SearchSession, stack: ExitStack, screen: RetrainScreen
    ) -> None:
        """Train what is not trained yet."""
        plan = self.plan
        check_weights(plan.finalists, plan.weights)
        weights = cluster.Weights.read(plan.weights)
        refuse_other_weights(self.record, weights)
        rows = {job.rows: plan.training_rows(job) for job in jobs}
        taught = load_teachers(plan) if plan.teachers is None else plan.teachers
        refuse_other_teachers(self.record, taught)
        teachers = {
            job.rows: taught[job.protocol]
            for job in jobs
            if TrainConfig.from_dict(job.config).teacher_weight > 0
        }
        self.record.status, self.record.ended = RUNNING, None
        joined = self._joined or _join(stack, plan)
        self._describe_machines(joined, screen)
        self._save()
        shared = trial_job(
            plan.faces, rows, weights, self.checkpoints, joined.resources, joined.images_ref,
            teachers,
        )  # fmt: skip
        self._say_how_long(jobs, joined.resources, screen)
        with interruptible(session, None):
            run_trials(face_trainable(shared), self.folder.path, session, joined.resources)

    def _say_how_long(
        self, jobs: list[Job], resources: cluster.Resources, screen: RetrainScreen
    ) -> None:
        """Say how long training will take, where this machine's cores are what trains."""
        if resources.gpus_per_trial or self.plan.options.address:
            return
        left = [
            TrainConfig.from_dict(record.job.config).epochs - len(record.epochs)
            for record in self.plan.select(self.trained.records())
            if record.state == "RUNNING"
        ]
        config = _untaught(TrainConfig.from_dict(jobs[0].config))
        epoch_s, _ = time_epoch(self.plan.faces, self.plan.training_rows(jobs[0]), config)
        workers = min(resources.concurrency, len(left))
        about = show_duration(sum(left) * epoch_s / workers)
        models = f"{len(left)} model{'s' * (len(left) != 1)}"
        screen.say(labelled("time", f"about {about} to train {models}, {workers} at a time"))

    def epoch_finished(self, number: int, metrics: Metrics) -> None:
        """Write ``retrain.json``, so that it can be read at any time."""
        self._save()

    def trial_ended(self, record: TrialRecord) -> None:
        """Write it once more."""
        self._save()

    def _describe_machines(self, joined: cluster.Joined, screen: RetrainScreen) -> None:
        """Record what trains, and refuse it where other models of the run had another kind."""
        if joined.dashboard:
            token = f"{UV_RUN}ray get-auth-token"
            screen.say(labelled("dashboard", f"{joined.dashboard} (token: {token})"))
        resources = joined.resources
        if any(record.epochs for record in self.trained.records()):
            _refuse_another_device(self.record, resources)
        self.record.hardware = SharedHardware(
            **dict(cluster.hardware()),
            concurrency=resources.concurrency,
            cpus_per_trial=resources.cpus_per_trial,
            gpus_per_trial=resources.gpus_per_trial,
        )

    def _save(self) -> None:
        """Write ``retrain.json``."""
        self.record.models = self.trained.records()
        self.record.wall_s = round(self._wall_s + time.monotonic(), 1)
        self.folder.write_record(self.record)

    def _finish(self, screen: RetrainScreen, interrupted: bool) -> int:
        """Evaluate what has been trained; return the exit status."""
        records = self.plan.select(self.trained.records())
        trained = [record for record in records if record.state == "COMPLETE"]
        failed = [record for record in records if record.state == "FAIL"]
        if interrupted or any(record.state == "RUNNING" for record in records):
            self._end(INTERRUPTED)
            screen.say(labelled("go on", self._resume_command))
            return 130 if interrupted else 1  # Ray gave it up without a word
        if not any(record.job.purpose in (RETRAIN, FOLD) for record in trained):
            self._end(FAILED)
            screen.say(f"error: no model could be trained; the first failed: {failed[0].reason}")
            return 1
        if not self.plan.options.evaluate:
            self._end(INTERRUPTED)
            screen.say(labelled("evaluate", self._resume_command))
            return 1 if failed else 0
        finish = teach if self.plan.options.folds else evaluate
        for line in finish(self.plan, self.folder, self.record, trained, self.checkpoints):
            screen.say(line)
        self._end(FINISHED)
        if self._tracker is not None and not self.plan.options.folds:
            self._tracker.evaluation_ended(read_evaluation(self.folder.path / "evaluation.json"))
        return 1 if failed else 0

    def _end(self, status: Status) -> None:
        """Note that the session ended, and how."""
        self.record.status, self.record.ended = status, now()
        self._save()

    @property
    def _resume_command(self) -> str:
        run = shlex.quote(str(from_here(self.folder.path)))
        return f"{UV_RUN}python tune/retrain_best.py --resume {run}"


def _join(stack: ExitStack, plan: Plan) -> cluster.Joined:
    weights = cluster.Weights.read(plan.weights)
    configs = [_untaught(finalist.config) for finalist in plan.finalists]
    return cluster.join(stack, plan.options, plan.faces, weights, configs)


def _refuse_another_device(record: RetrainRecord, resources: cluster.Resources) -> None:
    """Raise `UserError` where models of one row would come from CPUs and from GPUs."""
    if record.hardware is not None:
        refuse_another_device(
            f"the models of {record.name}",
            record.hardware.gpus_per_trial or 0,
            resources.gpus_per_trial,
            "start a new retraining",
        )


def _untaught(config: TrainConfig) -> TrainConfig:
    """Return a configuration that trains without a teacher, at the same cost."""
    return config.replace(teacher_weight=0.0)
