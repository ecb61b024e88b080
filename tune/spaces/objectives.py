"""Names that all of `tune` shares: settings, metrics, and what a search can minimise."""

import difflib
from collections.abc import Sequence

from utkface.io import UserError

#: A hyperparameter's value, and a configuration or a part of one.
Setting = bool | int | float | str | None
Settings = dict[str, Setting]
#: What an epoch measured, by names as in `utkface.metrics`; a metric may be None or NaN.
Metrics = dict[str, float]

#: What searches minimised before they said so.
SCORE = ("score",)

#: What a search minimises unless its space or its command says otherwise.
DEFAULT_OBJECTIVES = ("smooth_score",)

#: Names as in `utkface.metrics`, lower is better, and what each is in words. None depends on a
#: hyperparameter: a loss weighted by a searched weight could not be compared between trials.
OBJECTIVES = {
    "smooth_score": "smooth score",
    "score": "score",
    "age_mae": "age MAE, years",
    "gender_error": "gender error",
    "gender_log_loss": "gender log loss, nats",
    "calibrated_gender_log_loss": "calibrated gender log loss, nats",
    "worst_group_mae": "worst age group's MAE, years",
}


def check_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """Return what is minimised, together where there are several; raises `UserError`."""
    for name in names:
        if name not in tuple(OBJECTIVES):  # a space of a user's own may hold anything
            close = difflib.get_close_matches(str(name), OBJECTIVES, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UserError(
                f"objective {name!r} is unknown; {hint}allowed: {', '.join(OBJECTIVES)}, one or "
                "several"
            )
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"objectives {', '.join(names) or '(none)'} are not possible; allowed: one or several, "
            "each once"
        )
    return tuple(names)


def judged_metric(objectives: Sequence[str]) -> str:
    """Return the metric that trials are compared by on the way, for people.

    It is the objective itself, or the score where there are several; early stopping then judges by
    all of them.
    """
    return objectives[0] if len(objectives) == 1 else "score"


def describe_objectives(objectives: Sequence[str]) -> str:
    """Return what a search minimises, in words."""
    if len(objectives) == 1:
        return objectives[0]
    return f"the Pareto front of {', '.join(objectives)}, in the order of the score"
