"""What a search may minimise: names of the metrics that every epoch reports.

None of them depends on a hyperparameter: a loss weighted by a searched weight could not be compared
between trials. The standard library alone is imported: a command line is checked by this.
"""

import difflib
from collections.abc import Sequence

from utkface.io import UserError

#: What a search minimises unless its space or its command says otherwise.
DEFAULT_OBJECTIVES = ("smooth_score",)

#: Names as in `utkface.metrics`, lower is better, and what each is in words.
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
