"""The retraining command's options, kept in ``retrain.json`` and merged when it goes on."""

import argparse
from dataclasses import dataclass

from tune.options import PROTOCOLS, WANDB_HELP, WANDB_MODES, Options, add_options, option
from utkface.io import UserError

#: Pixels and epochs that a final model is worth; a search makes do with fewer (`docs/results.md`).
FINAL_SIZE, FINAL_EPOCHS = 160, 16
FINAL_TOP_K = 3


@dataclass(frozen=True, kw_only=True)
class RetrainOptions(Options):
    """What is to be retrained and how; None means that the search or the machine decides."""

    search: str | None = option(
        "name or folder (default: your newest with a complete trial)",
        same=True,
        metavar="RUN",
        section="",
    )
    config: list[str] | None = option(
        "instead: a JSON file of hyperparameters, or reference:SETTING; several are compared",
        same=True,
        metavar="FILE",
    )

    top_k: int | None = option(
        f"how many of the search's best (default: {FINAL_TOP_K}, or as many as there are; "
        "1 with --folds)",
        same=True,
        at_least=1,
        section="training",
    )
    seeds: int = option(
        "models per configuration and protocol (default: 3), also with --resume", 3, at_least=1
    )
    splits: list[str] = option("default: both", [*PROTOCOLS], same=True, choices=PROTOCOLS)
    epochs: int | None = option(
        f"default: {FINAL_EPOCHS}, or the search's where that is more or its faces are drawn; of "
        "--config what the file says",
        same=True,
        at_least=1,
    )
    image_size: int | None = option(
        f"pixels (default: {FINAL_SIZE}, otherwise likewise)", same=True
    )
    initial_image_size: int | None = option(
        "pixels of the first epoch, grows (default: off)", same=True
    )
    weights: str | None = option(
        "backbone: imagenet, none, or the path of a file (default: the search's)", same=True
    )
    folds: int | None = option(
        "instead: K models each, every one without a K-th of the training faces, which it then "
        "predicts: a teacher for --teacher",
        same=True,
        at_least=2,
        metavar="K",
    )
    teacher: list[str] | None = option(
        "runs made with --folds, whose mean prediction is a target beside the label",
        same=True,
        metavar="RUN",
    )
    teacher_weight: float | None = option(
        "the teacher's share of the target (default: the configuration's, else 0.5)",
        same=True,
        above=0,
        at_most=1,
        metavar="SHARE",
    )
    data: list[str] | None = option("as of run_search.py (default: the search's)")
    wandb: str | None = option(WANDB_HELP, choices=WANDB_MODES)

    part: str = option(
        "test (default): train on the other 80 %%; validation: train on the training part alone, "
        "to see where a model is weak without a look at the test part",
        "test",
        same=True,
        choices=("test", "validation"),
        section="evaluation",
    )
    evaluate: bool = option("or train only; --resume evaluates (default: on)", True)
    flip: bool = option("average predictions with the mirrored face's (default: off)", False)
    intervals: bool = option(
        "train the model that age intervals need, without the validation part (default: on)", True
    )
    baselines: bool = option("judge classical models beside the networks (default: on)", True)
    explain: int = option(
        "faces per LIME sheet, and four times as many at random (default: 8; 0: no LIME)",
        8,
        at_least=0,
        metavar="N",
    )

    def __post_init__(self) -> None:
        """Check what argparse's types do not."""
        super().__post_init__()
        if self.search is not None and self.config:
            raise UserError("--search and --config exclude each other; give one of them")
        if len(set(self.splits)) < len(self.splits):
            raise UserError(f"--splits names {' '.join(self.splits)}; give each protocol once")
        if self.teacher_weight is not None and not self.teacher:
            raise UserError(
                f"--teacher-weight {self.teacher_weight:g} without a teacher; give one with "
                "--teacher RUN"
            )
        if self.folds and self.teacher:
            raise UserError(
                "--folds and --teacher exclude each other: the teacher's models have seen the "
                "faces that a fold leaves out; give one of them"
            )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``retrain_best.py``; options not given are absent from its result."""
    parser = argparse.ArgumentParser(
        prog="python tune/retrain_best.py",
        description="Retrain the best configurations of a search and evaluate them.",
        argument_default=argparse.SUPPRESS,
    )
    add_options(parser, RetrainOptions, [""])
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with an interrupted retraining, or evaluate a finished one anew "
        "(default: the newest)",
    )
    add_options(parser, RetrainOptions, ["training", "evaluation", "resources"])
    return parser
