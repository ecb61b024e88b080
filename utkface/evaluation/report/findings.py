"""What an evaluation finds, in sentences: the headline, its protocol, how sure it is.

Beside them stands what others published on UTKFace, as published. The reference quotes Sheoran et
al. (2021) beside its own rows. None of these numbers comes with an interval, and nobody says how
many of the test faces had a copy in the training part.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from utkface.evaluation.facts import DataFacts
from utkface.evaluation.measures import MEASURES
from utkface.evaluation.records import (
    BaselineRow,
    Evaluation,
    Evaluator,
    Pair,
    RegionWeight,
    Row,
    Subject,
)
from utkface.evaluation.report.text import show, show_duration, show_fields, show_hardware

Judged = TypeVar("Judged", Row, BaselineRow)

PROTOCOLS = {
    "grouped": "Copies of one photograph, byte-identical or nearly, are kept on one side, so no "
    "test face was seen in training. This is the number to believe.",
    "random": "Faces are shuffled and cut 80/20, as the published results were made. This is the "
    "number to compare with them.",
}
_ON_VALIDATION = {
    "grouped": "Copies of one photograph, byte-identical or nearly, are kept on one side, so no "
    "validation face was seen in training. Choices are made on this part: the number to believe is "
    "the test part's.",
    "random": "Faces are shuffled and cut 80/20, as the published results were made, and the "
    "validation part is cut from the 80 %. Published results are of test parts.",
}
_UTKFACE_LABELS = (
    "Labels are uncertain: where one photograph is in the data set twice, its two ages differ by 4 "
    "years on average and its gender in 7 % of cases. Some of what counts as error here is theirs."
)
_OTHER_LABELS = (
    "Labels may be wrong, and then some of what counts as error here is theirs: where one "
    "photograph is there twice, `python -m utkface.data FACES --report` says how far its labels "
    "differ."
)
_LIMITS = (
    "All faces come from one data set, aligned and cropped in one way. Other cameras, crops, "
    "countries or decades may do worse, and nothing here measures by how much.",
    "Gender is a binary label and race one of five, given by others and partly by algorithms; they "
    "say how a photograph was labelled, not who a person is.",
    "Rare groups (over 80 years, some combinations) have few faces, and so wide intervals.",
)


def protocol_sentence(protocol: str, part: str) -> str:
    """Say what numbers of a part of a split are; nothing of a split that is not known."""
    return (PROTOCOLS if part == "test" else _ON_VALIDATION).get(protocol, "")


def limits(data: DataFacts) -> list[str]:
    """Say what no number can mend; the page and the model card say the same."""
    return [_UTKFACE_LABELS if data.is_utkface else _OTHER_LABELS, *_LIMITS]


def choice_sentence(row: Row, search: str | None, search_split: str | None) -> str:
    """Say by which faces the row to speak of was chosen, if at all.

    Older evaluations do not say how a search split its faces: grouped, by default.
    """
    if not row.headline:
        return (
            "No row was chosen beforehand: this is the one with the best score here, which looks a "
            "little better than it is."
        )
    if row.part != "test":
        return (
            "These are validation faces: what is chosen on them looks a little better there than "
            "it is, so no number here is a final result."
        )
    if search is None:
        return (
            "The configuration was given: this run chose nothing. Whether it had been looked at on "
            "some of these faces before, a program cannot know."
        )
    if row.protocol == (search_split or "grouped"):
        return (
            "Which configuration to speak of was settled on validation faces, before these were "
            "looked at."
        )
    return (
        "Which configuration to speak of was settled on the validation faces of the search's own "
        "split; some of them are among these, so the numbers may look a little better than they "
        "are."
    )


def order_rows(rows: Sequence[Judged]) -> list[Judged]:
    """Return rows by part, protocol and score, test before validation, the headline first."""

    def place(row: Judged) -> tuple[Any, ...]:
        score = row.metric("score").value
        is_headline = isinstance(row, Row) and row.headline
        return (*_place(row), not is_headline, math.inf if score is None else score, row.label)

    return sorted(rows, key=place)


def order_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return paired comparisons by part and protocol, as rows are; otherwise as they came."""
    return sorted(pairs, key=_place)


def _place(row: Subject | Pair) -> tuple[bool, int, str]:
    """Return where a row's part and protocol come: what to believe before what to compare."""
    known = dict(zip(PROTOCOLS, range(len(PROTOCOLS)), strict=True))
    return row.part != "test", known.get(row.protocol, len(known)), row.protocol


def find_headlines(rows: Sequence[Row]) -> list[Row]:
    """Return one row per protocol to speak of first, on the test part where there is one.

    It is the row that is marked as headline; where none is, the protocol's best stands in, and the
    page says that it was not chosen beforehand.
    """
    found: dict[str, Row] = {}
    ordered = order_rows(rows)
    for row in ordered:
        if row.part == ordered[0].part:
            found.setdefault(row.protocol, row)
    return list(found.values())


def headline_sentence(row: Row) -> str:
    """Say in a sentence how good a row is, on what, and how sure that is."""
    age, gender = MEASURES["age_mae"], MEASURES["gender_accuracy"]
    mae, accuracy = row.metric("age_mae"), row.metric("gender_accuracy")
    unseen = "of the validation part"
    if row.part == "test":  # at random, a copy of a face may have been trained on
        unseen = "that it never saw" if row.protocol == "grouped" else "held out at random"
    return (
        f"On {count(row.num_faces, 'photograph')} {unseen} ({row.protocol} split, "
        f"{count(row.num_seeds, 'seed')}) {row.label} is wrong in age by "
        f"{age.show(mae.value)} years on average (95 % interval {age.interval(mae)}) and right in "
        f"gender for {gender.show(accuracy.value)} % ({gender.interval(accuracy)})."
    )


def spread_sentence(row: Row) -> str:
    """Say how much the seeds of a row differ."""
    age, gender = row.metric("age_mae"), row.metric("gender_accuracy")
    name = f"{row.label}, {row.protocol}"
    if age.spread is None:
        return f"{name}: one seed, so nothing is known of what another seed would give."
    each = ", ".join(MEASURES["age_mae"].show(value) for value in age.per_seed)
    return (
        f"{name}: age MAE by seed {each} (standard deviation "
        f"{MEASURES['age_mae'].show_spread(age)} years); gender accuracy varies by "
        f"{MEASURES['gender_accuracy'].show_spread(gender)} points."
    )


def leak_sentence(evaluation: Evaluation) -> str | None:
    """Say how many judged faces of the random split have a copy in training; None where unknown."""
    rows = [row for row in evaluation.rows if row.protocol == "random"]
    if "random" not in evaluation.leak or not rows:
        return None
    part = rows[0].part
    learned = "training and validation parts" if part == "test" else "training part"
    return (
        f"{evaluation.leak['random']} of the {rows[0].num_faces} {part} faces of the random split "
        f"have a copy of the same photograph in the {learned}, from which these models learned, "
        "which flatters every number measured there. Published splits were drawn in the same way; "
        "nobody counted."
    )


def region_sentences(regions: Sequence[RegionWeight]) -> list[str]:
    """Say which regions of the face weigh most for each head, for their size, and how that varies.

    Nothing where the shares are not known.
    """
    sentences = []
    for head in ("age", "gender"):
        found = []  # weight for its size, and what to say of it
        for row in regions:
            area, share = row.area_share, getattr(row, f"{head}_share")
            if area and share:
                text = f"{100 * share:.0f} % of all effects on {100 * area:.0f} % of the picture"
                if ends := getattr(row, f"{head}_range"):
                    text += f"; {100 * ends[0]:.0f} to {100 * ends[1]:.0f} % on 8 of 10 faces"
                found.append((share / area, f"{row.region} ({text})"))
        if found:
            found.sort(key=lambda weighed: -weighed[0])
            most = ", then ".join(text for _, text in found[:2])
            sentences.append(f"For {head}, what counts most for its size: {most}.")
    return sentences


def interval_sentence(row: Row) -> str | None:
    """Say how often a row's intervals of age hold the truth; None where it has none."""
    if row.interval is None:
        return None
    share, coverage = MEASURES["age_within_5"], row.interval.coverage
    width = MEASURES["age_mae"].show(row.interval.mean_width_years)
    return (
        f"Each age comes with a {100 * row.interval.level:.0f} % interval, {width} years wide "
        f"on average; {share.show(coverage.value)} % of the true ages lie inside "
        f"(95 % interval {share.interval(coverage)})."
    )


def count(number: int | None, noun: str) -> str:
    """Return '1 seed' or '4,741 photographs'; the noun alone where the number is unknown."""
    if number is None:
        return f"{noun}s"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def times(evaluation: Evaluation) -> str:
    """Say how long each part took; models are trained side by side, and their times added up."""
    parts = [
        f"{'training of all models together' if what == 'training' else what} {show_duration(time)}"
        for what, time in evaluation.seconds.items()
    ]
    return ", ".join(parts) or "–"


def facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return what was run and on what, as names and texts."""
    data = evaluation.data
    later = evaluated_by(evaluation)
    return [
        ("begun", evaluation.created.replace("T", " ")),
        ("search", show(evaluation.search)),
        ("image size", f"{evaluation.image_size} px"),
        ("epochs", show(evaluation.epochs)),
        ("mirrored average", show(evaluation.flip)),
        ("data", data.source),
        ("faces", show(data.num_faces)),
        ("data fingerprint", data.fingerprint),
        ("time", times(evaluation)),
        ("hardware", show_hardware(evaluation.hardware)),
        ("versions", show_fields(evaluation.versions)),
        ("commit", show(evaluation.commit)),
        *([("evaluated by", f"{later.command} (commit {show(later.commit)})")] if later else []),
    ]


def evaluated_by(evaluation: Evaluation) -> Evaluator | None:
    """Return what evaluated, where that is not what trained."""
    by = evaluation.evaluated_by
    trained = evaluation.command, evaluation.commit
    return None if by is None or (by.command, by.commit) == trained else by


@dataclass(frozen=True)
class PublishedRow:
    """A published result over the full range of ages: accuracy as a share of one, MAE in years."""

    label: str
    gender_accuracy: float
    age_mae: float
    split: str = "random 80/20"
    source: str = "the reference's README"


def _sheoran(label: str, gender_accuracy: float, age_mae: float) -> PublishedRow:
    source = "Sheoran et al. 2021, arXiv 2110.12633"
    return PublishedRow(label, gender_accuracy, age_mae, "random 80/10/10", source)


PUBLISHED = (
    PublishedRow("MobileNetV3-Small, no augmentation", 0.921, 5.335),
    PublishedRow("MobileNetV3-Small, basic augmentation", 0.925, 5.105),
    PublishedRow("MobileNetV3-Small, oversampling", 0.939, 4.731),
    PublishedRow("MobileNetV3-Small, oversampling, from scratch", 0.926, 5.148),
    PublishedRow("MobileNetV3-Small, in its table of systems", 0.939, 4.694),
    _sheoran("XGBoost on features", 0.9380, 5.89),
    _sheoran("SVC on features", 0.9464, 5.49),
    _sheoran("VGG_f", 0.934, 4.86),
    _sheoran("ResNet50_f", 0.944, 4.65),
    _sheoran("SENet50_f", 0.949, 4.58),
)
