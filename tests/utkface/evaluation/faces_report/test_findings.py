"""What is said of a set of faces, where the answer is known."""

import numpy as np
import pandas as pd
import pytest

from utkface.data.labels import RACES
from utkface.data.splits import make_split
from utkface.evaluation.faces_report import findings
from utkface.evaluation.quality import QUALITY_COLUMNS


def make_table(*faces: tuple[int, int, int, int]) -> pd.DataFrame:
    """Faces given as age, gender, race and group."""
    table = pd.DataFrame(faces, columns=["age", "gender", "race", "group"])
    table["file"] = [f"{number}.jpg" for number in range(len(table))]
    return table.assign(sha256=table["file"])


def make_quality(num: int, **columns) -> pd.DataFrame:
    return pd.DataFrame({name: np.arange(num) + 1.0 for name in QUALITY_COLUMNS}).assign(**columns)


def test_crossings_count_each_face_once():
    counts = findings.count_crossings(make_table((3, 0, 0, 0), (4, 1, 2, 1), (99, 1, 2, 2)))
    assert counts.shape == (10, 5, 2)
    assert counts.sum() == 3
    assert counts[0, 0, 0] == counts[1, 2, 1] == counts[9, 2, 1] == 1


def test_copies_say_how_far_labels_of_one_photograph_differ():
    table = make_table(
        *((30, 0, 0, 7), (36, 1, 0, 7), (33, 0, 0, 7)),  # pairs: 6, 3, 3 years; 2 differ in gender
        *((50, 1, 1, 8), (50, 1, 1, 8)),
        (9, 0, 4, 9),
    )
    table.loc[[3, 4], "sha256"] = "equal"
    copies = findings.find_copies(table)
    assert (copies.num_groups, copies.num_faces, copies.largest) == (2, 5, 3)
    assert copies.num_identical == 2
    assert copies.num_conflicts_by == {"age": 1, "gender": 1, "race": 0}
    assert copies.age_spreads_years.tolist() == [6, 0]
    assert copies.mean_age_difference_years == pytest.approx(12 / 4)
    assert copies.share_gender_differs == 2 / 4
    assert copies.share_race_differs == 0
    assert [(rows.tolist(), years) for rows, years in copies.conflicts] == [([0, 1, 2], 6)]


def test_without_copies_there_is_nothing_to_say_of_them():
    assert findings.find_copies(make_table((3, 0, 0, 0), (4, 1, 2, 1))) is None


def test_the_worst_are_at_the_bad_end_and_one_of_each_group():
    table = make_table(*((20, 0, 0, group) for group in (0, 0, 1, 2)))
    quality = make_quality(4, brisque=np.nan, entropy=[3.0, 2.0, np.nan, 1.0])
    worst = {e.title: e.rows.tolist() for e in findings.find_extremes(table, quality, num=3)}
    assert worst["Blurriest"] == [0, 2, 3]
    assert worst["Lightest"] == [3, 2, 1]
    assert worst["Fewest greys"] == [3, 1]
    assert "Worst score" not in worst, "it was not measured"


def test_medians_are_of_each_group_that_has_faces():
    table = make_table((20, 0, 0, 0), (20, 0, 1, 1), (70, 0, 1, 2))
    medians = findings.find_medians(table, make_quality(3))
    assert medians.index.tolist() == [
        "all faces", "gender male", "race White", "race Black", "age 14–23", "age 70–79",
    ]  # fmt: skip
    assert medians["num_faces"].tolist() == [3, 3, 1, 2, 2, 1]
    assert medians["luminance"].tolist() == [2, 2, 1, 2.5, 1.5, 3]


def test_the_balance_is_of_every_part_and_says_who_leaks():
    # Each photograph is there twice: a random split must leak, the grouped one cannot.
    rng = np.random.default_rng(0)
    faces = [(int(age), i % 2, i % 5, i) for i, age in enumerate(rng.integers(1, 90, 100))]
    table = make_table(*faces, *faces)
    balance = findings.find_balance(table)
    assert [(part.protocol, part.part) for part in balance] == [
        (protocol, part)
        for protocol in ("grouped", "random")
        for part in ("training", "validation", "test")
    ]
    for part in balance:
        assert part.race_shares.sum() == pytest.approx(1)
        assert part.age_shares.sum() == pytest.approx(1)
    for protocol in ("grouped", "random"):
        parts = [part for part in balance if part.protocol == protocol]
        assert sum(part.num_faces for part in parts) == len(table)
        leaked = sum(part.num_leaked for part in parts)
        assert leaked == 0 if protocol == "grouped" else leaked > 10
    # As an evaluation counts: before the test part models learn from all other faces.
    split, group = make_split(table, "random"), table["group"].to_numpy()
    learned = group[np.concatenate([split.train, split.val])]
    assert balance[-1].num_leaked == np.isin(group[split.test], learned).sum()
    assert balance[-2].num_leaked == np.isin(group[split.val], group[split.train]).sum()


def test_what_matters_names_heaps_light_and_labels():
    table = make_table((26, 0, 0, 0), (26, 0, 0, 0), (40, 1, 1, 1))
    quality = make_quality(3, luminance=[150.0, 150.0, 80.0])
    copies = findings.find_copies(table)
    said = " ".join(findings.say_what_matters(table, quality, copies, []))
    assert "age 26 alone has 2 faces" in said
    assert "100 of the 100 crossings" in said
    assert f"labelled {RACES[0]} is 150, of those labelled {RACES[1]} 80" in said
    assert "two of one photograph differ by 0.0 years" in said
