"""The iterative step as commands: stored predictions become weights, and these have an effect."""

import json

import numpy as np
import pandas as pd
import pytest

from utkface.evaluation import compare, weak_groups
from utkface.evaluation.predictions import read_predictions
from utkface.evaluation.weak_groups import find_weak_groups, shrink
from utkface.io import UserError
from utkface.sampling import parse_weights


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write folders as the retraining does, of models that err by so many years at 80 and above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UTKFACE_GROUP_WEIGHTS", raising=False)
    rng = np.random.default_rng(0)
    faces = pd.DataFrame({"age": rng.integers(0, 100, 900), "gender": rng.integers(0, 2, 900)})
    faces = faces.assign(race=rng.integers(0, 5, 900), group=np.arange(900))
    faces.insert(0, "file", [f"{number:03}.jpg" for number in range(900)])
    noise = rng.laplace(size=(2, 900))

    def write(name, old_error=12.0, part="validation", labels=("mine",), num_seeds=2, **columns):
        size = np.where(faces["age"] >= 80, old_error, 4.0)
        runs = [
            faces.assign(
                label=label,
                protocol="grouped",
                part=part,
                seed=seed,
                age_years=faces["age"] + size * noise[seed],
                gender_probability=faces["gender"] * 0.8 + 0.1,
                age_low=np.nan,
                age_high=np.nan,
                **columns,
            )
            for label in labels
            for seed in range(num_seeds)
        ]
        folder = tmp_path / name
        folder.mkdir()
        table = pd.concat(runs).sample(frac=1, random_state=0)  # in no order
        table.to_parquet(folder / "predictions.parquet", index=False)
        return folder

    return write


def error_of(function, *arguments, **options):
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_predictions_come_back_by_seed_and_face(write):
    stored = read_predictions(write("run"), "validation")
    assert stored.age_years.shape == stored.gender_probability.shape == (2, 900)
    assert stored.faces["file"].is_monotonic_increasing
    female = stored.faces["gender"].to_numpy() == 1
    assert (stored.gender_probability[:, female] > 0.5).all()
    assert (stored.gender_probability[:, ~female] < 0.5).all()
    young = stored.faces["age"].to_numpy() < 80
    errors = np.abs(stored.age_years - stored.faces["age"].to_numpy())
    assert errors[0, young].mean() == pytest.approx(4, rel=0.1)
    assert (stored.age_years[0] != stored.age_years[1]).any()


@pytest.mark.parametrize("again", [[], [1], [0, 1]])
def test_a_face_that_one_seed_lacks_or_has_twice_is_noticed(write, again):
    folder = write("run")
    table = pd.read_parquet(folder / "predictions.parquet")
    table = pd.concat([table.iloc[1:], table.iloc[again]])
    table.to_parquet(folder / "predictions.parquet", index=False)
    assert "each face once for every seed" in error_of(read_predictions, folder, "validation")


def test_what_is_missing_is_named_with_what_is_there(write, tmp_path):
    assert "there is no" in error_of(read_predictions, tmp_path, "validation")
    folder = write("run", labels=("a", "b"))
    assert "--labels: 'a', 'b'" in error_of(read_predictions, folder, "validation")
    message = error_of(read_predictions, folder, "validation", label="c")
    assert "no predictions with label 'c'; it has 'a', 'b'" in message
    message = error_of(read_predictions, folder, "validation", protocol="random")
    assert "protocol 'random'; it has 'grouped'" in message
    (folder / "predictions.parquet").write_bytes(b"PAR1 cut off")
    assert "cannot read" in error_of(read_predictions, folder, "validation")


def test_the_headline_is_read_by_default(write, make_evaluation):
    folder = write("run", labels=("a", "b"))
    evaluation = make_evaluation().evaluation
    evaluation.rows[0].label = "b"  # the headline's
    (folder / "evaluation.json").write_text(evaluation.to_text())
    assert read_predictions(folder, "validation").label == "b"


def test_the_command_writes_what_a_space_reads(write, tmp_path, capsys, monkeypatch):
    weak_groups.main([str(write("run"))])
    found = json.loads((tmp_path / "results" / "group_weights.json").read_text())
    assert found["part"] == "validation"
    assert found["made_from"] == "run"
    assert "80+ female=1." in found["group_weights"]
    weak = [group["group"] for group in found["groups"] if group["weight"] > 1]
    assert all(name.startswith("80+") for name in weak)
    assert len(found["groups"]) > len(weak)  # the others are told of as well
    out = capsys.readouterr().out
    assert "80+ female" in out
    assert "--space weak_groups" in out

    from tune.spaces.space import load_space  # both must agree on where the file is

    assert load_space("weak_groups").points[1]["group_weights"] == found["group_weights"]
    monkeypatch.setenv("UTKFACE_GROUP_WEIGHTS", str(tmp_path / "other.json"))
    weak_groups.main([str(tmp_path / "run")])
    (tmp_path / "results" / "group_weights.json").unlink()
    assert load_space("weak_groups").points[1]["group_weights"] == found["group_weights"]


def test_predictions_of_the_test_part_are_refused(write):
    message = error_of(weak_groups.main, [str(write("run", part="test"))])
    assert "must not steer training" in message
    assert "--part validation" in message


def test_no_weak_group_is_said(write, capsys, tmp_path):
    weak_groups.main([str(write("run", old_error=4.0)), "--output", str(tmp_path / "w.json")])
    out = capsys.readouterr().out
    assert "there is nothing to oversample" in out
    assert "next:" not in out
    assert json.loads((tmp_path / "w.json").read_text())["group_weights"] == ""


def test_the_effect_on_weak_groups_and_on_the_rest(write):
    groups = parse_weights("80+ female=1.5, 80+ male=1.4, 110+ asian=2")
    before = read_predictions(write("before", old_error=12.0), "validation")
    after = read_predictions(write("after", old_error=9.0), "validation")
    table = compare.compare_groups(groups, before, after, num_resamples=200)
    names = ["80+ female", "80+ male", compare.WEAK, compare.REST, compare.ALL]
    assert table["group"].tolist() == names  # the group without a face is left out
    of = table.set_index("group")
    assert of.loc[compare.WEAK, "age_mae_change"] == pytest.approx(
        of.loc[compare.WEAK, "age_mae_after"] - of.loc[compare.WEAK, "age_mae_before"]
    )
    assert of.loc[compare.WEAK, "age_mae_high"] < 0, "better beyond doubt"
    unchanged = of.loc[compare.REST, ["age_mae_change", "age_mae_low", "age_mae_high"]]
    assert (unchanged == 0).all(), "the rest was predicted equally"
    assert of.loc[compare.ALL, "num_faces"] == 900
    assert (of["gender_accuracy_before"] == 1).all()


def test_the_effect_as_a_command(write, capsys, tmp_path):
    before, after = write("before"), write("after", old_error=9.0)
    weak_groups.main([str(before)])
    arguments = [str(before), str(after), "--groups", "--output"]
    compare.main([*arguments, str(tmp_path / "new" / "effect.csv")])
    out = capsys.readouterr().out
    assert "the rest" in out
    assert "regression to the mean" in out
    assert len(pd.read_csv(tmp_path / "new" / "effect.csv")) >= 5
    (tmp_path / "file").touch()
    error = error_of(compare.main, [*arguments, str(tmp_path / "file" / "effect.csv")])
    assert "cannot write" in error


def test_losses_are_said_as_plainly_as_gains():
    table = pd.DataFrame(
        {
            "group": ["old", "rest", "all"],
            "age_mae_low": [-0.4, 0.1, -0.2], "age_mae_high": [-0.1, 0.3, 0.1],
            "gender_accuracy_low": [-0.1, -0.1, -0.2], "gender_accuracy_high": [0.1, -0.05, 0.2],
        }
    )  # fmt: skip
    assert compare.gains_and_losses(table) == [
        "age, better: old; worse: rest; not shown to differ: all",
        "gender, better: nobody; worse: rest; not shown to differ: old, all",
    ]


def test_two_models_are_compared_in_words(write, capsys):
    before, after = write("before"), write("after", old_error=9.0, num_seeds=1)
    compare.main([str(after), str(before), "--part", "validation"])
    first, second, warning, faces, *said = capsys.readouterr().out.splitlines()
    assert first == f"mine, grouped split of {after}: 1 seed"
    assert second == f"mine, grouped split of {before}: 2 seeds"
    assert warning.startswith("With one seed")
    assert faces == "on 900 validation faces, grouped split, the first is"
    assert any(line.startswith("  age MAE: better by") for line in said)
    assert said[-2] == "  genders that one alone has right: the first 0, the second 0"


@pytest.mark.parametrize("how", [[], ["--groups"]])
def test_different_faces_are_not_compared(write, how):
    before, after = write("before"), write("after")
    weak_groups.main([str(before)])
    table = pd.read_parquet(after / "predictions.parquet")
    table[table["file"] != "007.jpg"].to_parquet(after / "predictions.parquet", index=False)
    arguments = [str(before), str(after), "--part", "validation", *how]
    assert "different validation faces" in error_of(compare.main, arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "x.csv"], "--output goes with --groups"),
        (["--data", "demo"], "--data goes with --sheets"),
        (["--groups", "--sheets", "x"], "are two questions; give one"),
    ],
)
def test_options_that_do_not_go_together_are_refused(write, options, message):
    folder = str(write("run"))
    assert message in error_of(compare.main, [folder, folder, *options])


def test_weights_that_cannot_be_read_are_refused(write, tmp_path):
    folder = write("run")
    (tmp_path / "weights.json").write_text('{"group_weights": "80+=many"}')
    for path in ("nowhere.json", "weights.json"):
        arguments = [str(folder), str(folder), "--groups", str(tmp_path / path)]
        assert f"{path} (" in error_of(compare.main, arguments)


def made_up_faces(num_faces, rng):
    return pd.DataFrame(
        {
            "age": rng.integers(0, 100, num_faces),
            "gender": rng.integers(0, 2, num_faces),
            "race": rng.choice(5, num_faces, p=[0.6, 0.2, 0.1, 0.07, 0.03]),
        }
    )


def predictions_of(faces, error_years, share_wrong, rng, num_seeds=2):
    """Return predictions (S, N) with these mean absolute errors and shares of wrong genders."""
    shape = (num_seeds, len(faces))
    age_years = faces["age"].to_numpy() + error_years * rng.laplace(size=shape)
    is_wrong = rng.random(shape) < share_wrong
    return age_years, np.where(is_wrong, 1 - faces["gender"], faces["gender"]).astype(float)


def test_the_formula_worked_out_by_hand():
    """Two groups of 2 and 4 faces; the numbers are those of the module's docstring."""
    error = np.array([9.0, 11.0, 1.0, 3.0, 1.0, 3.0])
    group = np.array([0, 0, 1, 1, 1, 1])
    mean, shrunken, is_weak = shrink(error, group)
    np.testing.assert_allclose(mean, [10, 2])
    m, v_all = 28 / 6, np.var(error)
    s2 = np.array([(2 + 10 * v_all) / 11 / 2, (4 + 10 * v_all) / 13 / 4])
    distance = np.array([10 - m, 2 - m])
    t2 = (2 * (distance[0] ** 2 - s2[0] * 4 / 6) + 4 * (distance[1] ** 2 - s2[1] * 2 / 6)) / 6
    b = t2 / (t2 + s2)
    np.testing.assert_allclose(shrunken, m + b * distance)
    np.testing.assert_array_equal(is_weak, b * distance > 1.96 * np.sqrt(b * s2))


def test_groups_without_any_difference_are_shrunk_to_the_mean():
    mean, shrunken, is_weak = shrink(np.array([1.0, 3.0, 1.0, 3.0]), np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(mean, [2, 2])
    np.testing.assert_array_equal(shrunken, [2, 2])
    assert not is_weak.any()


def test_a_model_without_an_error_has_no_weak_group():
    faces = made_up_faces(50, np.random.default_rng(0))
    perfect = np.stack([faces["age"], faces["age"]]), np.stack([faces["gender"], faces["gender"]])
    assert (find_weak_groups(faces, *map(np.float64, perfect))["weight"] == 1).all()


def test_noise_alone_makes_hardly_a_group_weak():
    """Forty models that are equally good at all of more than 60 groups, many of them tiny."""
    rng = np.random.default_rng(1)
    weights = []
    for _ in range(40):
        faces = made_up_faces(1500, rng)
        weights.append(find_weak_groups(faces, *predictions_of(faces, 5.0, 0.06, rng))["weight"])
    assert max(len(of_model) for of_model in weights) > 60
    assert np.mean([(of_model > 1).sum() for of_model in weights]) < 0.5
    assert max(of_model.max() for of_model in weights) < 1.5
    assert np.mean([of_model.mean() for of_model in weights]) < 1.002


def test_planted_weakness_is_found_and_weighed():
    rng = np.random.default_rng(2)
    faces = made_up_faces(4000, rng)
    is_old = (faces["age"] >= 80).to_numpy()
    is_indian = (faces["race"] == 3).to_numpy()
    errors = np.where(is_old, 12.0, 4.0), np.where(is_indian, 0.4, 0.04)
    table = find_weak_groups(faces, *predictions_of(faces, *errors, rng)).set_index("group")
    weak = table[table["weight"] > 1]
    assert {"80+ male", "80+ female", "all male indian", "all female indian"} <= set(weak.index)
    assert all("80+" in name or "indian" in name for name in weak.index)
    # 80+: 12 years against 5.6 of all; the age is one error of two.
    assert weak.loc["80+ male", "weight"] == pytest.approx((1 + 12 / 5.6) / 2, rel=0.1)
    assert weak.loc["80+ male", "age_mae_is_weak"]
    assert not weak.loc["80+ male", "gender_error_is_weak"]
    assert weak.loc["all female indian", "gender_error_is_weak"]


def test_the_same_error_weighs_less_in_a_smaller_group():
    rng = np.random.default_rng(3)
    group = np.repeat([0, 1, 2, 3], [5, 200, 1000, 1000])
    error = rng.laplace(size=len(group)) + np.where(group < 2, 6.0, 4.0)
    mean, shrunken, _ = shrink(error + np.where(group == 0, 6 - error[:5].mean(), 0), group)
    assert mean[0] == pytest.approx(mean[1], rel=0.05)
    assert shrunken[0] < shrunken[1] < mean[1]
