"""What a retraining shows: a bar for each model in training, or lines in a log file."""

import sys
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tune.console import labelled
from tune.console.lines import DEMO_WARNING, metrics_line
from tune.execution.reporting import Callback, RunStart
from tune.records.trials import TrialRecord
from tune.spaces.objectives import Metrics, Settings
from utkface.config import TrainConfig
from utkface.evaluation.report.text import show_duration


class RetrainScreen(Callback):
    """Says what is trained; use as a context manager."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._titles = titles  # of the models, by number
        self._num_epochs: dict[int, int] = {}
        # Decided here, since rich also takes FORCE_COLOR, common in CI, for a terminal.
        is_terminal = sys.stdout.isatty()
        self._console = Console(highlight=False, soft_wrap=True, force_terminal=is_terminal)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("epoch {task.completed:.0f} of {task.total:.0f}"),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        hidden = not self._console.is_terminal  # a log file wants no redrawn lines
        self._bars = Progress(*columns, console=self._console, disable=hidden)
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Print a line above the bars; may be called from any thread."""
        self._console.print(line, markup=False)

    def search_started(self, start: RunStart) -> None:
        """Say what is retrained and where to watch it."""
        self.say(labelled("retrain", f"{start.record.name}: {start.record.question}"))
        self.say(labelled("run", start.folder))
        if start.wandb_line:
            self.say(labelled("W&B", start.wandb_line))
        if start.record.data.is_demo:
            self.say(DEMO_WARNING)

    def trial_started(self, number: int, config: Settings, epochs_done: int) -> None:
        """Show a bar for the model."""
        title, num_epochs = self._titles[number], TrainConfig.from_dict(config).epochs
        self._num_epochs[number] = num_epochs
        if number not in self._tasks:  # else its worker was lost
            self._tasks[number] = self._bars.add_task(
                title, total=num_epochs, completed=epochs_done, state=""
            )
        if not self._console.is_terminal:
            resumed = f", goes on after epoch {epochs_done}" if epochs_done else ""
            self.say(f"{title}: training begins{resumed}")

    def epoch_finished(self, number: int, metrics: Metrics) -> None:
        """Move the model's bar."""
        state = f"loss {metrics['train_loss']:.3f}, {metrics['images_per_s']:.0f} images/s"
        if "score" in metrics:
            state = f"{state}; validation: {metrics_line(metrics)}"
        self._bars.update(self._tasks[number], completed=metrics["epoch"], state=state)
        if not self._console.is_terminal:
            epoch = f"epoch {metrics['epoch']} of {self._num_epochs[number]}"
            self.say(f"{self._titles[number]}: {epoch}, {state}")

    def trial_ended(self, record: TrialRecord) -> None:
        """Say how the model's training ended."""
        title = self._titles[record.number]
        self._bars.remove_task(self._tasks.pop(record.number))
        if record.state == "COMPLETE":
            train_s = sum(epoch["time_s"] for epoch in record.epochs)
            self.say(f"{title}: trained in {show_duration(train_s)}")
        else:
            self.say(f"{title} failed: {record.reason}")

    def trial_retried(self, number: int, reason: str) -> None:
        """Say that a training is tried again, and why."""
        self.say(f"{self._titles[number]} is tried again in a fresh worker: {reason}")
