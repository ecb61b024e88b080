"""Groups and their weights as text: what it says of which face, and that it survives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utkface.errors import UserError
from utkface.group_weights import face_weights, format_weights, parse_weights

AGE = np.array([0, 3, 4, 79, 80, 116])
GENDER = np.array([1, 0, 1, 0, 1, 0])
RACE = np.array([0, 1, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", [1, 1, 1, 1, 1, 1]),
        ("0-3=2", [2, 2, 1, 1, 1, 1]),
        ("80+=1.5", [1, 1, 1, 1, 1.5, 1.5]),
        ("all female=2", [2, 1, 2, 1, 2, 1]),
        ("all black=2", [1, 2, 2, 1, 1, 1]),
        ("4+ female indian=7", [1, 1, 1, 1, 7, 1]),
        ("0-3=2, all female=3, 79-79=1.25", [3, 2, 3, 1.25, 3, 1]),  # the largest of those it is in
    ],
)
def test_a_text_says_the_weight_of_each_face(text, weights):
    np.testing.assert_array_equal(face_weights(parse_weights(text), AGE, GENDER, RACE), weights)


ages = st.tuples(st.integers(0, 116), st.integers(0, 116)).map(sorted)
groups = st.builds(
    lambda age, gender, race, weight: f"{age}{gender}{race}={weight}",
    ages.map(lambda pair: "{}-{}".format(*pair)) | st.sampled_from(["all", "80+"]),
    st.sampled_from(["", " male", " female"]),
    st.sampled_from(["", " white", " other"]),
    st.sampled_from(["1", "1.5", "12.375"]),
)


@given(st.lists(groups).map(", ".join))
def test_reading_and_writing_are_each_others_inverse(text):
    assert format_weights(parse_weights(text)) == text


def test_ages_that_run_backwards_are_refused():
    with pytest.raises(UserError, match="backwards in '9-3=2'; write 3-9"):
        parse_weights("9-3=2")
