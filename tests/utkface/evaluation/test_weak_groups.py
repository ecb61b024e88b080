"""The iterative step as commands: stored predictions become weights, and these have an effect."""

import json

import numpy as np
import pandas as pd
import pytest

from utkface.evaluation import group_effect, weak_groups
from utkface.evaluation.stored_predictions import read_predictions
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


def test_a_face_that_one_seed_lacks_is_noticed(write):
    folder = write("run")
    table = pd.read_parquet(folder / "predictions.parquet")
    table.iloc[1:].to_parquet(folder / "predictions.parquet", index=False)
    assert "each face once for every seed" in error_of(read_predictions, folder, "validation")


def test_what_is_missing_is_named_with_what_is_there(write, tmp_path):
    assert "there is no" in error_of(read_predictions, tmp_path, "validation")
    folder = write("run", labels=("a", "b"))
    assert "--label: 'a', 'b'" in error_of(read_predictions, folder, "validation")
    message = error_of(read_predictions, folder, "validation", label="c")
    assert "no predictions with label 'c'; it has 'a', 'b'" in message
    message = error_of(read_predictions, folder, "validation", protocol="random")
    assert "protocol 'random'; it has 'grouped'" in message
    (folder / "predictions.parquet").write_bytes(b"PAR1 cut off")
    assert "cannot read" in error_of(read_predictions, folder, "validation")


def test_the_headline_is_read_by_default(write):
    folder = write("run", labels=("a", "b"))
    rows = [{"label": "a", "headline": False}, {"label": "b", "headline": True}]
    (folder / "evaluation.json").write_text(json.dumps({"rows": rows}))
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

    from tune.spaces import load_space  # both must agree on where the file is

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
    assert "there is nothing to oversample" in capsys.readouterr().out
    assert json.loads((tmp_path / "w.json").read_text())["group_weights"] == ""


def test_the_effect_on_weak_groups_and_on_the_rest(write):
    groups = parse_weights("80+ female=1.5, 80+ male=1.4, 110+ asian=2")
    before = read_predictions(write("before", old_error=12.0), "validation")
    after = read_predictions(write("after", old_error=9.0), "validation")
    table = group_effect.compare_groups(groups, before, after, num_resamples=200)
    names = ["80+ female", "80+ male", group_effect.WEAK, group_effect.REST, group_effect.ALL]
    assert table["group"].tolist() == names  # the group without a face is left out
    of = table.set_index("group")
    assert of.loc[group_effect.WEAK, "age_mae_change"] == pytest.approx(
        of.loc[group_effect.WEAK, "age_mae_after"] - of.loc[group_effect.WEAK, "age_mae_before"]
    )
    assert of.loc[group_effect.WEAK, "age_mae_high"] < 0, "better beyond doubt"
    unchanged = of.loc[group_effect.REST, ["age_mae_change", "age_mae_low", "age_mae_high"]]
    assert (unchanged == 0).all(), "the rest was predicted equally"
    assert of.loc[group_effect.ALL, "num_faces"] == 900
    assert (of["gender_accuracy_before"] == 1).all()


def test_the_effect_as_a_command(write, capsys, tmp_path):
    before, after = write("before"), write("after", old_error=9.0)
    weak_groups.main([str(before)])
    group_effect.main([str(before), str(after), "--output", str(tmp_path / "effect.csv")])
    out = capsys.readouterr().out
    assert "the rest" in out
    assert "regression to the mean" in out
    assert len(pd.read_csv(tmp_path / "effect.csv")) >= 5


def test_different_faces_are_not_compared(write):
    before, after = write("before"), write("after")
    table = pd.read_parquet(after / "predictions.parquet")
    table[table["file"] != "007.jpg"].to_parquet(after / "predictions.parquet", index=False)
    models = [read_predictions(folder, "validation") for folder in (before, after)]
    assert "different faces" in error_of(group_effect.compare_groups, [], *models)


def test_weights_that_cannot_be_read_are_refused(write, tmp_path):
    folder = write("run")
    (tmp_path / "weights.json").write_text('{"group_weights": "80+=many"}')
    for path in ("nowhere.json", "weights.json"):
        arguments = [str(folder), str(folder), "--weights", str(tmp_path / path)]
        assert f"{path} (" in error_of(group_effect.main, arguments)
