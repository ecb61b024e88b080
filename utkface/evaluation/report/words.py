"""What an evaluation says in words: the headline, its protocol, and how sure it is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from utkface.evaluation.report.measures import MEASURES, overall, part
from utkface.evaluation.report.text import show, show_duration, show_fields

Row = Mapping[str, Any]

PROTOCOLS = {
    "grouped": "Copies of one photograph, byte-identical or nearly, are kept on one side, so no "
    "test face was seen in training. This is the number to believe.",
    "random": "Faces are shuffled and cut 80/20, as the published results were made. This is the "
    "number to compare with them.",
}
#: What no number can mend; the page and the model card say the same.
LIMITS = (
    "Labels are uncertain: where one photograph is in the data set twice, its two ages differ by 4 "
    "years on average and its gender in 7 % of cases. Some of what counts as error here is theirs.",
    "All faces come from one data set, aligned and cropped in one way. Other cameras, crops, "
    "countries or decades may do worse, and nothing here measures by how much.",
    "Gender is a binary label and race one of five, given by others and partly by algorithms; they "
    "say how a photograph was labelled, not who a person is.",
    "Rare groups (over 80 years, some combinations) have few faces, and so wide intervals.",
)
#: The order in which protocols are shown: what to believe before what to compare.
_PROTOCOL_ORDER = [*PROTOCOLS]


def order_rows(rows: Sequence[Row]) -> list[Row]:
    """Return rows by part, protocol and score, test before validation, the headline first."""

    def place(row: Row) -> tuple[Any, ...]:
        score = part(overall(row, "score"))
        score = math.inf if math.isnan(score) else score
        return (*_place(row), not row.get("headline"), score, str(row.get("label")))

    return sorted(rows, key=place)


def order_pairs(pairs: Sequence[Row]) -> list[Row]:
    """Return paired comparisons by part and protocol, as rows are; otherwise as they came."""
    return sorted(pairs, key=_place)


def _place(row: Row) -> tuple[Any, ...]:
    """Return where a row's part and protocol come in the order of showing."""
    protocol = str(row.get("protocol"))
    known = protocol in _PROTOCOL_ORDER
    place = _PROTOCOL_ORDER.index(protocol) if known else len(_PROTOCOL_ORDER)
    return row.get("part") != "test", place, protocol


def find_headlines(rows: Sequence[Row]) -> list[Row]:
    """Return one row per protocol to speak of first, on the test part where there is one.

    It is the row that is marked as headline; where none is, the protocol's best stands in, and the
    page says that it was not chosen beforehand.
    """
    found: dict[str, Row] = {}
    ordered = order_rows(rows)
    part_shown = ordered[0].get("part") if ordered else None
    for row in ordered:
        if row.get("part") == part_shown:
            found.setdefault(str(row.get("protocol")), row)
    return list(found.values())


def headline_sentence(row: Row) -> str:
    """Say in a sentence how good a row is, on what, and how sure that is."""
    age, gender = MEASURES["age_mae"], MEASURES["gender_accuracy"]
    mae, accuracy = overall(row, "age_mae"), overall(row, "gender_accuracy")
    unseen = "of the validation part"
    if row.get("part") == "test":  # at random, a copy of a face may have been trained on
        unseen = "that it never saw" if row.get("protocol") == "grouped" else "held out at random"
    return (
        f"On {count(row.get('num_faces'), 'photograph')} {unseen} ({row.get('protocol')} split, "
        f"{count(row.get('num_seeds'), 'seed')}) {row.get('label')} is wrong in age by "
        f"{age.show(part(mae))} years on average (95 % interval {age.interval(mae)}) and right in "
        f"gender for {gender.show(part(accuracy))} % ({gender.interval(accuracy)})."
    )


def spread_sentence(row: Row) -> str:
    """Say how much the seeds of a row differ."""
    age, gender = overall(row, "age_mae"), overall(row, "gender_accuracy")
    name = f"{row.get('label')}, {row.get('protocol')}"
    if math.isnan(part(age, "spread")):
        return f"{name}: one seed, so nothing is known of what another seed would give."
    each = ", ".join(MEASURES["age_mae"].show(value) for value in age.get("per_seed") or [])
    return (
        f"{name}: age MAE by seed {each} (standard deviation "
        f"{MEASURES['age_mae'].show_spread(age)} years); gender accuracy varies by "
        f"{MEASURES['gender_accuracy'].show_spread(gender)} points."
    )


def leak_sentence(evaluation: Mapping[str, Any]) -> str | None:
    """Say how many faces of the random test part have a copy in training; None where unknown."""
    copies = (evaluation.get("leak") or {}).get("random")
    rows = [row for row in evaluation.get("rows") or [] if row.get("protocol") == "random"]
    if copies is None or not rows:
        return None
    return (
        f"{copies} of the {show(rows[0].get('num_faces'))} test faces of the random split have a "
        "copy of the same photograph in the training part, which flatters every number measured "
        "there. Published splits were drawn in the same way; nobody counted."
    )


def interval_sentence(row: Row) -> str | None:
    """Say how often a row's intervals of age hold the truth; None where it has none."""
    interval = row.get("interval")
    if not isinstance(interval, Mapping):
        return None
    share = MEASURES["age_within_5"]
    width = MEASURES["age_mae"].show(interval.get("mean_width_years"))
    coverage = interval.get("coverage")
    return (
        f"Each age comes with a {100 * part(interval, 'level'):.0f} % interval, {width} years wide "
        f"on average; {share.show(part(coverage))} % of the true ages lie inside "
        f"(95 % interval {share.interval(coverage)})."
    )


def count(number: Any, noun: str) -> str:
    """Return '1 seed' or '4,741 photographs'; the noun alone where the number is unknown."""
    if not isinstance(number, int):
        return f"{noun}s"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def facts(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was run and on what, as names and texts."""
    data = evaluation.get("data") or {}
    seconds = evaluation.get("seconds") or {}
    times = ", ".join(f"{name} {show_duration(value)}" for name, value in seconds.items())
    return [
        ("written", show(evaluation.get("created")).replace("T", " ")),
        ("search", show(evaluation.get("search"))),
        ("image size", f"{show(evaluation.get('image_size'))} px"),
        ("epochs", show(evaluation.get("epochs"))),
        ("mirrored average", show(evaluation.get("flip"))),
        ("data", show(data.get("source"))),
        ("faces", show(data.get("num_faces"))),
        ("data fingerprint", show(data.get("fingerprint"))),
        ("time", times or "–"),
        ("hardware", show_fields(evaluation.get("hardware"))),
        ("versions", show_fields(evaluation.get("versions"))),
        ("commit", show(evaluation.get("commit"))),
    ]
