import numpy as np
import pandas as pd

from utkface.evaluation.hardest import hardest_faces


def make_faces(age, gender, group=None):
    group = range(len(age)) if group is None else group
    return pd.DataFrame({"age": age, "gender": gender, "group": group})


def test_the_known_worst_come_first():
    faces = make_faces(age=[10, 20, 30, 40], gender=[0, 1, 0, 1])
    age_years = np.array([[12, 60, 30, 10], [12, 60, 32, 20]], dtype=float)  # errors 2 40 1 25
    probability = np.array([[0.9, 0.4, 0.1, 0.01], [0.7, 0.2, 0.1, 0.03]])  # wrong: 0, 1, 3
    hardest = hardest_faces(faces, age_years, probability, num=2)
    assert hardest.ages.tolist() == [1, 3]
    assert hardest.genders.tolist() == [3, 0]
    everything = hardest_faces(faces, age_years, probability, num=10)
    assert everything.ages.tolist() == [1, 3, 0, 2]
    assert everything.genders.tolist() == [3, 0, 1]  # face 2 is right, and not among them


def test_seeds_are_averaged_before_judging():
    faces = make_faces(age=[30, 30], gender=[1, 1])
    age_years = np.array([[10, 33], [50, 33]], dtype=float)  # face 0 is off by 20, right on average
    probability = np.array([[0.2, 0.4], [0.9, 0.5]])
    hardest = hardest_faces(faces, age_years, probability, num=2)
    assert hardest.ages.tolist() == [1, 0]
    assert hardest.genders.tolist() == [1]


def test_of_copies_only_the_worst_is_given():
    faces = make_faces(age=[1, 2, 50], gender=[0, 0, 0], group=[7, 7, 8])
    age_years = np.array([[40, 45, 60]], dtype=float)
    probability = np.array([[0.8, 0.9, 0.1]])
    hardest = hardest_faces(faces, age_years, probability, num=3)
    assert hardest.ages.tolist() == [1, 2]
    assert hardest.genders.tolist() == [1]


def test_right_genders_give_none():
    faces = make_faces(age=[1], gender=[1])
    assert len(hardest_faces(faces, np.array([[1.0]]), np.array([[0.9]]), num=4).genders) == 0
