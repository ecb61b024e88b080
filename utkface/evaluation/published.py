"""What others published on UTKFace, as published: each row with its split and its source.

The reference quotes Sheoran et al. (2021) beside its own rows. None of these numbers comes with an
interval, and nobody says how many of the test faces had a copy in the training part.
"""

from dataclasses import dataclass

_REFERENCE_SPLIT = "random 80/20"
_SHEORAN_SPLIT = "random 80/10/10"
_REFERENCE = "the reference's README"
_SHEORAN = "Sheoran et al. 2021, arXiv 2110.12633"


@dataclass(frozen=True)
class PublishedRow:
    """A published result over the full range of ages: accuracy as a share of one, MAE in years."""

    label: str
    gender_accuracy: float
    age_mae: float
    split: str
    source: str


def _reference(notes: str, gender_accuracy: float, age_mae: float) -> PublishedRow:
    label = f"MobileNetV3-Small, {notes}"
    return PublishedRow(label, gender_accuracy, age_mae, _REFERENCE_SPLIT, _REFERENCE)


def _sheoran(label: str, gender_accuracy: float, age_mae: float) -> PublishedRow:
    return PublishedRow(label, gender_accuracy, age_mae, _SHEORAN_SPLIT, _SHEORAN)


PUBLISHED = (
    _reference("no augmentation", 0.921, 5.335),
    _reference("basic augmentation", 0.925, 5.105),
    _reference("oversampling", 0.939, 4.731),
    _reference("oversampling, from scratch", 0.926, 5.148),
    _reference("in its table of systems", 0.939, 4.694),
    _sheoran("XGBoost on features", 0.9380, 5.89),
    _sheoran("SVC on features", 0.9464, 5.49),
    _sheoran("VGG_f", 0.934, 4.86),
    _sheoran("ResNet50_f", 0.944, 4.65),
    _sheoran("SENet50_f", 0.949, 4.58),
)
