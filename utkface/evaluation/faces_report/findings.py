"""What there is to know of a set of faces: who is in it, how good the photographs are, copies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utkface.data.labels import GENDERS, RACES, age_bin, bin_labels
from utkface.data.splits import PROTOCOLS, make_split
from utkface.evaluation.photo_measures import PHOTO_MEASURES, PhotoMeasure
from utkface.evaluation.records import SMALL_GROUP_FACES

LABELS = ("age", "gender", "race")
AGE_GROUPS = bin_labels()
GREY_BELOW = 1.0  # squared levels
_NUM_AGES_NAMED = 5
_PART_NAMES = ("training", "validation", "test")


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
class Copies:
    """What copies of one photograph say of the labels."""

    num_groups: int  # of two and more
    num_faces: int  # in them
    num_identical: int  # faces whose file is another's, byte by byte
    largest: int
    num_conflicts_by: dict[str, int]  # groups whose labels disagree, by label
    age_spreads_years: NDArray[np.int64]  # of each group, oldest minus youngest label
    mean_age_difference_years: float  # over all pairs of copies
    share_gender_differs: float
    share_race_differs: float
    #: Of each group whose labels disagree its rows and its spread, the widest first.
    conflicts: list[tuple[NDArray[np.int64], int]]


def find_copies(table: pd.DataFrame) -> Copies | None:
    """Return what is known of copies; None where every photograph is there once."""
    together = table[table.duplicated("group", keep=False)]
    if together.empty:
        return None
    labels = together.groupby("group")[list(LABELS)]
    ranges = labels.max() - labels.min()
    spreads, disagree = ranges["age"], ranges > 0
    pairs = []  # how far the labels of each pair of copies are apart, (pairs, 3)
    for _, group in labels:
        first, second = np.triu_indices(len(group), k=1)
        pairs.append(np.abs(group.to_numpy()[first] - group.to_numpy()[second]))
    differences = np.concatenate(pairs)
    worst = spreads[disagree.any(axis=1)].sort_values(ascending=False, kind="stable")
    return Copies(
        num_groups=len(spreads),
        num_faces=len(together),
        num_identical=int(table.duplicated("sha256", keep=False).sum()),
        largest=int(together["group"].value_counts().max()),
        num_conflicts_by={name: int(disagree[name].sum()) for name in LABELS},
        age_spreads_years=spreads.to_numpy(),
        mean_age_difference_years=float(differences[:, 0].mean()),
        share_gender_differs=float((differences[:, 1] > 0).mean()),
        share_race_differs=float((differences[:, 2] > 0).mean()),
        conflicts=[
            (np.flatnonzero(table["group"] == group), int(years)) for group, years in worst.items()
        ],
    )


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
    """Return every part of every split; raises `UserError` where faces are too few to split."""
    group, age, race = (table[name].to_numpy() for name in ("group", "age", "race"))
    balance = []
    for protocol in PROTOCOLS:
        split = make_split(table, protocol)
        learned = np.array([], np.int64)  # before the test part also the validation part is
        for name, rows in zip(_PART_NAMES, (split.train, split.val, split.test), strict=True):
            balance.append(
                PartBalance(
                    protocol=protocol,
                    part=name,
                    num_faces=len(rows),
                    share_of_all=len(rows) / len(table),
                    mean_age_years=float(age[rows].mean()),
                    share_female=float((table["gender"].iloc[rows] == 1).mean()),
                    race_shares=np.bincount(race[rows], minlength=len(RACES)) / len(rows),
                    age_shares=np.bincount(age_bin(age[rows]), minlength=len(AGE_GROUPS))
                    / len(rows),
                    num_leaked=int(np.isin(group[rows], group[learned]).sum()),
                )
            )
            learned = np.concatenate([learned, rows])
    return balance


def say_what_matters(
    table: pd.DataFrame, quality: pd.DataFrame, copies: Copies | None, balance: list[PartBalance]
) -> list[str]:
    """Return the findings that whoever trains on these faces should know, as sentences."""
    counts = table["age"].value_counts()
    first = counts.head(_NUM_AGES_NAMED)
    share = first.sum() / len(table)
    said = [
        f"Ages are heaped: age {first.index[0]} alone has {first.iloc[0]:,} faces, and "
        f"{len(first)} of the {len(counts)} ages hold {100 * share:.0f} % of all."
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
    if copies is None:
        return said
    said.append(
        "Labels are uncertain: two of one photograph differ by "
        f"{copies.mean_age_difference_years:.1f} years on average, in gender in "
        f"{100 * copies.share_gender_differs:.0f} % and in race in "
        f"{100 * copies.share_race_differs:.0f} % of the pairs."
    )
    test = next((of for of in balance if (of.protocol, of.part) == ("random", "test")), None)
    if test and test.num_leaked:
        said.append(
            f"A random split leaks: {test.num_leaked:,} of its {test.num_faces:,} test faces have "
            "a copy in the training and validation parts, from which the models that are judged "
            "there learn. A grouped split has none."
        )
    return said
