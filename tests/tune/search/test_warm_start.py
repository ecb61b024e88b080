"""What a new search takes from earlier ones, from the journals of made-up searches."""

import json
import shutil
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState

from tune.options.search import SearchOptions
from tune.records.run_folder import SearchFolder
from tune.records.search import Conditions, DataRecord, WarmStart
from tune.search.warm_start import known_trials, plan_warm_start, read_runs
from tune.spaces.space import load_space
from tune.study.past_runs import read_run
from tune.study.study import SearchStudy
from utkface.config import TRAINING_VERSION
from utkface.io import UserError

SPACE = '''"""Does the learning rate matter?"""

POINTS = [{"max_lr": 0.005, "age_loss": "dldl"}]


def suggest(trial):
    trial.suggest_float("max_lr", 1e-4, 1e-2, log=True)
    if trial.suggest_categorical("age_loss", ["dldl", "huber"]) == "huber":
        trial.suggest_float("huber_delta_years", 1.0, 10.0)
    return {"weight_decay": 0.01}
'''
DATA = {
    "source": "UTKFace", "fingerprint": "f" * 64, "split_hash": "5" * 64, "is_demo": False,
    "num_faces": 9, "num_rejected": 0, "num_train": 5, "num_val": 2, "num_test": 2,
}  # fmt: skip


@pytest.fixture
def make_prepared(tmp_path):
    """What a search needs, with changes to the text of its space and to its options."""

    def make(*changes, data=DATA, **options):
        text = SPACE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "rate.py"
        path.write_text(text)
        values = {"max_epochs": 3, "image_size": 32, "objective": "score", "seed": 1, **options}
        options = SearchOptions(space=str(path), **values)
        space = load_space(path, fixed=options.fixed)
        conditions = Conditions.of(DataRecord(**data), options, None, TRAINING_VERSION)
        return SimpleNamespace(options=options, space=space, conditions=conditions)

    return make


def open_study(folder, prepared, **known):
    return SearchStudy(
        folder.journal, prepared.space, prepared.options.fixed, scheduler="none",
        objectives=prepared.options.objectives, sampler=prepared.options.sampler, **known,
    )  # fmt: skip


def run_trial(study, score, num_epochs=3):
    """Run the next trial; stopped early if it has fewer epochs than three."""
    assignment = study.next_trial()
    for epoch in range(1, num_epochs + 1):
        metrics = {"epoch": epoch, "score": score, "age_mae": 5 * score, "gender_error": 0.1}
        study.report(assignment.number, metrics)
    if num_epochs < 3:
        study.study.tell(assignment.number, state=TrialState.PRUNED)
    return assignment


@pytest.fixture
def earlier(tmp_path, make_prepared, search_record):
    """A search of seven trials: five complete, one stopped early, one failed."""
    prepared = make_prepared(seed=0)
    folder = SearchFolder.create(tmp_path / "results", "rate")
    study = open_study(folder, prepared)
    for score in (1.5, 1.1, 1.3, 1.2, 1.4):
        run_trial(study, score)
    run_trial(study, 2.0, num_epochs=1)
    study.fail(study.next_trial().number, "CUDA fell over")
    options = prepared.options
    folder.write_record(
        search_record(
            name=folder.path.name, data=DATA, training_version=TRAINING_VERSION,
            image_size=options.image_size, max_epochs=options.max_epochs, weights=options.weights,
        )
    )  # fmt: skip
    return folder


def plan(earlier, prepared):
    """Return what is taken, through the record that a resumed search has of it."""
    runs = read_runs(earlier.path.parent, str(earlier.path))
    planned = plan_warm_start(runs, prepared)
    assert WarmStart.model_validate_json(planned.model_dump_json()) == planned
    return planned


def test_under_equal_conditions_every_score_is_known_to_the_sampler(earlier, make_prepared):
    prepared = make_prepared()
    warm = plan(earlier, prepared)
    records = {
        record.number: record for record in read_run(earlier.path.parent, str(earlier.path)).records
    }
    assert sorted(entry.trial for entry in warm.known) == [0, 1, 2, 3, 4, 5]
    assert warm.points == []
    trials = known_trials(warm, prepared)
    for entry, trial in zip(warm.known, trials, strict=True):
        record = records[entry.trial]
        assert (trial.params, trial.state.name) == (record.params, record.state)
        assert trial.value == (record.score if record.state == "COMPLETE" else None)
        assert trial.intermediate_values == {e["epoch"]: e["score"] for e in record.epochs}
    assert warm.notes == [
        f"{earlier.path.name}: 6 trials known to the sampler, 5 of them complete",
        "not taken: 1 failed, unfinished or without their settings",
    ]


def test_a_trial_that_diverged_is_known_as_the_worst(earlier, make_prepared):
    study = open_study(earlier, make_prepared(seed=0))
    number = study.next_trial().number
    good = {"epoch": 1, "score": 0.1, "age_mae": 0.5, "gender_error": 0.1}
    study.report(number, good)
    study.diverge(number, "the loss is nan")
    warm = plan(earlier, prepared := make_prepared())
    known = dict(zip((t.trial for t in warm.known), known_trials(warm, prepared), strict=True))
    assert (known[number].state.name, known[number].intermediate_values) == ("PRUNED", {})


def test_what_is_known_counts_nowhere(earlier, make_prepared, tmp_path):
    prepared = make_prepared()
    warm = plan(earlier, prepared)
    folder = SearchFolder.create(tmp_path / "new", "rate")
    study = open_study(
        folder, prepared, known=known_trials(warm, prepared), first_points=warm.first_points
    )
    first = run_trial(study, 5.0)
    assert (first.number, first.config["max_lr"]) == (0, 0.005)  # the space's own point
    run_trial(study, 6.0)
    assert study.num_started() == 2
    assert [record.score for record in study.records()] == [5.0, 6.0]
    assert study.study.best_value == 5.0
    folder.write_tables(study.records())
    assert json.loads((folder.path / "best.json").read_text())["score"] == 5.0


def test_a_resumed_search_suggests_the_same_without_its_forerunner(
    earlier, make_prepared, tmp_path
):
    prepared = make_prepared()
    record = plan(earlier, prepared).model_dump_json()
    suggested = []
    for name, restart in (("steady", False), ("restarted", True)):
        folder = SearchFolder.create(tmp_path / name, "rate")
        for i in range(5):
            if restart or i == 0:
                warm = WarmStart.model_validate_json(record)
                study = open_study(folder, prepared, known=known_trials(warm, prepared))
            run_trial(study, 1.0 + i)
        suggested.append([trial.params for trial in study.records()])
    assert suggested[0] == suggested[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_epochs": 4}, "epochs: 3 and 4"),
        ({"image_size": 64}, "image size: 32 and 64"),
        ({"weights": "none"}, "first weights: imagenet and none"),
        ({"data": {**DATA, "fingerprint": "e" * 64}}, "faces: ffffffff and eeeeeeee"),
        ({"data": {**DATA, "split_hash": "4" * 64}}, "split: 55555555 and 44444444"),
        ({"sampler": "random"}, "the random sampler learns from no other search"),
    ],
)
def test_under_other_conditions_the_best_few_are_tried_first(earlier, make_prepared, change, said):
    warm = plan(earlier, make_prepared(**change))
    assert warm.known == []
    assert [(point.trial, point.score) for point in warm.points] == [
        (1, 1.1), (3, 1.2), (2, 1.3),
    ]  # fmt: skip
    assert warm.notes[0].endswith(
        "the parameters of trial 1 (1.1 there), trial 3 (1.2 there), trial 2 (1.3 there)"
    )
    assert warm.notes[-1] == f"none of its scores count here: {said}"


def test_points_come_first_once_however_often_the_start_is_cut_short(
    earlier, make_prepared, tmp_path
):
    prepared = make_prepared(max_epochs=4)
    warm = plan(earlier, prepared)
    folder = SearchFolder.create(tmp_path / "new", "rate")
    for _ in range(3):
        study = open_study(folder, prepared, first_points=warm.first_points)
    configs = [study.next_trial().config for _ in range(5)]
    for point, config in zip(warm.first_points, configs, strict=False):
        assert point.items() <= config.items()
        assert config["epochs"] == 4
    assert configs[3]["max_lr"] == 0.005
    assert configs[4]["max_lr"] not in [config["max_lr"] for config in configs[:4]]


def test_another_constant_makes_scores_meaningless_and_is_named(earlier, make_prepared):
    warm = plan(earlier, make_prepared(('"weight_decay": 0.01', '"weight_decay": 0.02')))
    assert warm.known == []
    assert len(warm.points) == 3
    assert warm.notes[-1].endswith(
        "other constants in 6 of its trials, whose scores do not count: weight_decay"
    )


def test_what_was_constant_there_may_be_searched_here(earlier, make_prepared):
    """The earlier search's weight decay of 0.01 is a value that this one could suggest."""
    wider = make_prepared(
        ('return {"weight_decay": 0.01}', 'trial.suggest_float("weight_decay", 1e-3, 0.1)'
         '\n    return {}'),
        ('"age_loss": "dldl"', '"age_loss": "dldl", "weight_decay": 0.05'),
    )  # fmt: skip
    warm = plan(earlier, wider)
    assert len(warm.known) == 6
    assert all(entry.params["weight_decay"] == 0.01 for entry in warm.known)


def test_values_that_the_new_space_does_not_have_are_left_out_and_told(earlier, make_prepared):
    records = read_run(earlier.path.parent, str(earlier.path)).records[:6]
    inside = {r.number for r in records if r.params["age_loss"] == "dldl"}
    assert 0 < len(inside) < 6
    warm = plan(earlier, make_prepared(('"dldl", "huber"', '"dldl", "l1"')))
    assert {entry.trial for entry in warm.known} == inside
    (line,) = [line for line in warm.notes if line.startswith("not taken")]
    assert f"{6 - len(inside)} that this space would not suggest (age_loss='huber' is not" in line


def test_several_objectives_are_known_too(earlier, make_prepared):
    prepared = make_prepared(objective="age_mae,gender_error")
    trials = known_trials(plan(earlier, prepared), prepared)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert [trial.values for trial in complete] == [
        [pytest.approx(5 * score), 0.1] for score in (1.1, 1.2, 1.3, 1.4, 1.5)
    ]


def test_runs_are_read_while_they_are_written(earlier):
    """Of a line that is being written nothing is read, and the files stay as they are."""
    with earlier.journal.open("ab") as file:
        file.write(b'{"op_code": 5, "worker')
    before = earlier.journal.read_bytes()
    with earlier.lock():
        assert len(read_run(earlier.path.parent, str(earlier.path)).records) == 7
    assert earlier.journal.read_bytes() == before


def test_a_checkout_has_the_finalists_alone(earlier, make_prepared):
    records = read_run(earlier.path.parent, str(earlier.path)).records
    earlier.write_tables(records)
    earlier.journal.unlink()
    assert [r.score for r in read_run(earlier.path.parent, str(earlier.path)).records[:6]] == [
        r.score for r in records[:6]
    ]
    warm = plan(earlier, make_prepared())
    assert sorted(entry.trial for entry in warm.known) == [0, 1, 2, 3, 4]
    assert warm.notes[-1].startswith("not taken: 2 failed, unfinished or without")


def test_a_run_of_epochs_that_meant_something_else_is_refused_in_one_line(earlier):
    earlier.write_record(earlier.record.model_copy(update={"training_version": 1}))
    with pytest.raises(UserError, match=r"training version 1, now 2.*leave it out of --warm-start"):
        read_runs(earlier.path.parent, str(earlier.path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("nonesuch", "there is no search at 'nonesuch'"),
        ("{run},{run}", "names .* twice"),
        (",", "names no run"),
    ],
)
def test_runs_that_cannot_be_taken_are_told_in_one_line(earlier, names, message):
    with pytest.raises(UserError, match=message) as caught:
        read_runs(earlier.path.parent, names.format(run=earlier.path.name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["journal", "search.json", "fields", "tables"])
def test_a_damaged_run_is_told_in_one_line(earlier, damage):
    if damage == "journal":
        lines = earlier.journal.read_bytes().splitlines(keepends=True)
        for file in (earlier.journal, earlier.path / "backup" / "study.journal"):
            file.write_bytes(b"".join([*lines[:3], b"{]\n", *lines[4:]]))
    elif damage == "search.json":
        shutil.rmtree(earlier.path / "backup")
        (earlier.path / "search.json").write_text("{")
    elif damage == "fields":
        shutil.rmtree(earlier.path / "backup")
        (earlier.path / "search.json").write_text("{}")
    else:
        earlier.journal.unlink()
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_runs(earlier.path.parent, earlier.path.name)
    assert "\n" not in str(caught.value)
