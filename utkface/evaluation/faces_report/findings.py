"""What there is to know of a set of faces: who is in it, how good the photographs are, copies."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.data.labels import GENDERS, RACES, age_bin, bin_labels
from utkface.data.splits import PARTS, PROTOCOLS, make_split
from utkface.evaluation.photo_measures import PHOTO_MEASURES, PhotoMeasure
from utkface.evaluation.records import SMALL_GROUP_FACES

LABELS = ("age", "gender", "race")
AGE_GROUPS = bin_labels()
GREY_BELOW = 1.0  # squared levels
_NUM_AGES_NAMED = 5
_PART_NAMES = dict(zip(PARTS, ("training", "validation", "test"), strict=True))


@dataclass(frozen=True)
class Extreme:
    """Faces at one end of a measure."""

    title: str
    measure: PhotoMeasure
    rows: NDArray[np.int64]  # the most extreme first


#: Title, measure, and whether its highest values are meant.
_EXTREMES = (
    ("Blurriest", "laplacian_variance", False),
    ("Darkest", "luminance", False),
    ("Lightest", "luminance", True),
    ("Least contrast", "contrast", False),
    ("Fewest greys", "entropy", False),
    ("Worst score", "brisque", True),
)


def is_grey(quality: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which photographs are grey, (N,): all but what saving as a JPEG may have added."""
    return quality["colour_variance"].to_numpy() < GREY_BELOW


def find_extremes(table: pd.DataFrame, quality: pd.DataFrame, num: int) -> list[Extreme]:
    """Return the faces at the bad end of each measure, one of each group of copies."""
    found = []
    for title, name, is_highest in _EXTREMES:
        order = quality[name].dropna().sort_values(ascending=not is_highest, kind="stable")
        is_copy = table["group"].loc[order.index].duplicated()
        rows = order.index[~is_copy].to_numpy()[:num]
        if len(rows):
            found.append(Extreme(title, PHOTO_MEASURES[name], rows))
    return found


def draw_samples(table: pd.DataFrame, num: int) -> dict[str, NDArray[np.int64]]:
    """Return for each age group the rows of some faces drawn at random."""
    rng = np.random.default_rng(0)
    groups = age_bin(table["age"])
    samples = {}
    for number, label in enumerate(AGE_GROUPS):
        rows = np.flatnonzero(groups == number)
        samples[label] = np.sort(rng.choice(rows, min(num, len(rows)), replace=False))
    return {label: rows for label, rows in samples.items() if len(rows)}


def count_crossings(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return how many faces there are by age group, race and gender: (10, 5, 2)."""
    shape = (len(AGE_GROUPS), len(RACES), len(GENDERS))
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (age_bin(table["age"]), table["race"], table["gender"]), 1)
    return counts


def find_medians(table: pd.DataFrame, quality: pd.DataFrame) -> pd.DataFrame:
    """Return the medians of all measures over all faces, then by gender, race and age group.

    A row for each group that has faces, by its title, with num_faces beside the measures.
    """
    columns = (
        ("gender", table["gender"].to_numpy(), GENDERS),
        ("race", table["race"].to_numpy(), RACES),
        ("age", age_bin(table["age"]), AGE_GROUPS),
    )
    groups: list[Any] = [np.full(len(table), "all faces")]
    for name, codes, labels in columns:
        titles = pd.Index([f"{name} {label}" for label in labels])
        groups.append(pd.Categorical.from_codes(codes, titles))
    tables = (quality.groupby(group, observed=True) for group in groups)
    return pd.concat([of.median().assign(num_faces=of.size()) for of in tables])


@dataclass(frozen=True)
class Conflict:
    """Copies of one photograph whose labels disagree."""

    rows: NDArray[np.int64]
    age_spread_years: int


@dataclass(frozen=True)
class Copies:
    """What copies of one photograph say of the labels."""

    num_groups: int  # of two and more
    num_faces: int  # in them
    num_identical: int  # faces whose file is another's, byte by byte
    largest: int
    num_conflicts: int  # groups whose labels disagree
    num_conflicts_by: dict[str, int]  # by label
    age_spreads_years: NDArray[np.int64]  # of each group, oldest minus youngest label
    mean_age_difference_years: float  # over all pairs of copies
    share_gender_differs: float
    share_race_differs: float
    conflicts: list[Conflict]  # the widest spread of ages first


def find_copies(table: pd.DataFrame) -> Copies | None:
    """Return what is known of copies; None where every photograph is there once."""
    together = table[table.duplicated("group", keep=False)]
    if together.empty:
        return None
    labels = together.groupby("group")[list(LABELS)]
    ranges = labels.max() - labels.min()
    spreads, disagree = ranges["age"], ranges > 0
    pairs = np.concatenate([_pair_differences(group) for _, group in labels])
    worst = spreads[disagree.any(axis=1)].sort_values(ascending=False, kind="stable")
    return Copies(
        num_groups=len(spreads),
        num_faces=len(together),
        num_identical=int(table.duplicated("sha256", keep=False).sum()),
        largest=int(together["group"].value_counts().max()),
        num_conflicts=int(disagree.any(axis=1).sum()),
        num_conflicts_by={name: int(disagree[name].sum()) for name in LABELS},
        age_spreads_years=spreads.to_numpy(),
        mean_age_difference_years=float(pairs[:, 0].mean()),
        share_gender_differs=float((pairs[:, 1] > 0).mean()),
        share_race_differs=float((pairs[:, 2] > 0).mean()),
        conflicts=[
            Conflict(np.flatnonzero(table["group"] == group), int(years))
            for group, years in worst.items()
        ],
    )


def _pair_differences(group: pd.DataFrame) -> NDArray[np.int64]:
    """Return how far the labels of each pair of faces are apart, (pairs, 3)."""
    values = group.to_numpy()
    first, second = np.triu_indices(len(values), k=1)
    return np.abs(values[first] - values[second])


@dataclass(frozen=True)
class PartBalance:
    """Who is in one part of a split; shares are of the part's faces."""

    protocol: str
    part: str
    num_faces: int
    share_of_all: float
    mean_age_years: float
    share_female: float
    race_shares: NDArray[np.float64]  # (5,)
    age_shares: NDArray[np.float64]  # (10,)
    num_leaked: int  # faces with a copy among those that models learn from before this part


def find_balance(table: pd.DataFrame) -> list[PartBalance]:
    """Return every part of every split; none where there are too few faces to split."""
    return [part for protocol in PROTOCOLS for part in _parts(table, protocol)]


def _parts(table: pd.DataFrame, protocol: str) -> Iterator[PartBalance]:
    split = make_split(table, protocol)
    group = table["group"].to_numpy()
    for part, name in _PART_NAMES.items():
        rows = getattr(split, part)
        faces = table.iloc[rows]
        # As in retraining: before the test part models learn from the validation part as well.
        learned = {"train": [], "val": [split.train], "test": [split.train, split.val]}[part]
        is_leaked = np.isin(group[rows], group[np.concatenate([rows[:0], *learned])])
        yield PartBalance(
            protocol=protocol,
            part=name,
            num_faces=len(faces),
            share_of_all=len(faces) / len(table),
            mean_age_years=float(faces["age"].mean()),
            share_female=float((faces["gender"] == 1).mean()),
            race_shares=_shares(faces["race"].to_numpy(), len(RACES)),
            age_shares=_shares(age_bin(faces["age"]), len(AGE_GROUPS)),
            num_leaked=int(is_leaked.sum()),
        )


def _shares(codes: NDArray[np.int64], num: int) -> NDArray[np.float64]:
    return np.bincount(codes, minlength=num) / len(codes)


def say_what_matters(
    table: pd.DataFrame, quality: pd.DataFrame, copies: Copies | None, balance: list[PartBalance]
) -> list[str]:
    """Return the findings that whoever trains on these faces should know, as sentences."""
    counts = table["age"].value_counts()
    first = counts.head(_NUM_AGES_NAMED)
    said = [
        f"Ages are heaped: age {first.index[0]} alone has {first.iloc[0]:,} faces, and "
        f"{len(first)} of the {len(counts)} ages hold {_percent(first.sum() / len(table))} of all."
    ]
    crossings = count_crossings(table)
    num_small = int((crossings < SMALL_GROUP_FACES).sum())
    said.append(
        f"{num_small} of the {crossings.size} crossings of age group, race and gender have fewer "
        f"than {SMALL_GROUP_FACES} faces: too few to judge a model by."
    )
    races = np.array(RACES)[table["race"]]
    by_race = quality["luminance"].groupby(races).median().sort_values()
    if len(by_race) > 1:
        said.append(
            "Light and label go together: the median luminance of faces labelled "
            f"{by_race.index[-1]} is {by_race.iloc[-1]:.0f}, of those labelled {by_race.index[0]} "
            f"{by_race.iloc[0]:.0f}."
        )
    return said + _say_of_copies(copies, balance)


def _say_of_copies(copies: Copies | None, balance: list[PartBalance]) -> list[str]:
    if copies is None:
        return []
    said = [
        "Labels are uncertain: two of one photograph differ by "
        f"{copies.mean_age_difference_years:.1f} years on average, in gender in "
        f"{_percent(copies.share_gender_differs)} and in race in "
        f"{_percent(copies.share_race_differs)} of the pairs."
    ]
    test = next((of for of in balance if (of.protocol, of.part) == ("random", "test")), None)
    if test and test.num_leaked:
        said.append(
            f"A random split leaks: {test.num_leaked:,} of its {test.num_faces:,} test faces have "
            "a copy in the training and validation parts, from which the models that are judged "
            "there learn. A grouped split has none."
        )
    return said


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
