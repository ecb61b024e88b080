import json
import math

import optuna
import pytest

from tune.records.search import SearchRecord
from tune.records.trials import TrialRecord, objective_values, pareto_front, rank_complete
from utkface.io import UserError

BOTH = ("age_mae", "gender_error")


def record(number, age_mae=None, gender_error=None, *, score=1.0, state="COMPLETE"):
    metrics = {"epoch": 1, "score": score, "age_mae": age_mae, "gender_error": gender_error}
    return TrialRecord(
        number=number, state=state, score=score, params={}, config={}, epochs=[metrics]
    )


def numbers(records):
    return [record.number for record in records]


FRONT = [
    record(0, 4.0, 0.10, score=1.5),
    record(1, 5.0, 0.06, score=1.2),  # trades years for gender
    record(2, 5.0, 0.08, score=1.4),  # worse than 1 in gender, equal in age
    record(3, 6.0, 0.05, score=1.3),
    record(4, 6.1, 0.11, score=1.6),  # worse than all
    record(5, 1.0, 0.01, score=0.1, state="PRUNED"),
    record(6, 1.0, 0.01, score=0.1, state="RUNNING"),
    record(7, 1.0, 0.01, score=0.1, state="FAIL"),
]


def test_the_front_holds_what_no_complete_trial_dominates_lowest_score_first():
    assert numbers(pareto_front(FRONT, BOTH)) == [1, 3, 0]
    assert numbers(pareto_front(FRONT[::-1], BOTH)) == [1, 3, 0]
    assert pareto_front([], BOTH) == []


def test_equals_are_on_the_front_together():
    twins = [record(0, 4.0, 0.1), record(1, 4.0, 0.1), record(2, 4.0, 0.2)]
    assert numbers(pareto_front(twins, BOTH)) == [0, 1]


def test_a_missing_value_is_the_worst_there_is():
    lacking = [record(0, None, 0.1), record(1, 9.0, 0.1), record(2, math.nan, 0.05)]
    assert objective_values(lacking[0], BOTH) == [math.inf, 0.1]
    assert numbers(pareto_front(lacking, BOTH)) == [1, 2]


def test_the_front_agrees_with_optunas():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    records = []
    for number in range(60):
        trial = study.ask()
        # Whole numbers, so that there are ties.
        values = [float(trial.suggest_int(name, 0, 9)) for name in BOTH]
        study.tell(trial, values)
        records.append(record(number, *values))
    assert sorted(numbers(pareto_front(records, BOTH))) == numbers(study.best_trials)


def test_one_objective_ranks_by_itself():
    assert numbers(rank_complete(FRONT)) == [1, 3, 2, 0, 4]
    assert numbers(rank_complete(FRONT, ("age_mae",))) == [0, 1, 2, 3, 4]
    assert numbers(rank_complete(FRONT, ("gender_error",))) == [3, 1, 2, 0, 4]


def test_of_several_objectives_the_front_comes_first():
    assert numbers(rank_complete(FRONT, BOTH)) == [1, 3, 0, 2, 4]


def test_older_searches_minimised_the_score(search_json):
    del search_json["options"]["objective"]
    search = SearchRecord.parse(search_json, "search.json")
    assert search.options.objectives == ("score",)


def test_a_search_is_read_as_it_was_written(search_json, tmp_path):
    search = SearchRecord.parse({**search_json, "of_a_later_version": 1}, "search.json")
    search.write(tmp_path / "search.json")
    assert SearchRecord.read(tmp_path / "search.json") == search
    assert search.training_version == 1  # of a record that does not say
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"concurrency": "two"}, "concurrency='two': input should be a valid integer"),
        ({"data": {}}, "data.source is missing"),
        ({"options": {"space": 3}}, "options.space=3: input should be a valid string"),
        ({"options": {"space": "a", "grace": 0}}, "options={"),
        ({"status": "asleep"}, "status='asleep': input should be 'finished', 'interrupted'"),
    ],
)
def test_a_damaged_search_is_refused_by_the_name_of_its_field(search_json, tmp_path, change, said):
    path = tmp_path / "search.json"
    path.write_text(json.dumps({**search_json, **change}))
    with pytest.raises(UserError) as caught:
        SearchRecord.read(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "[]", '{"name": '])
def test_what_is_no_record_of_a_search_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "search.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="cannot be read") as caught:
        SearchRecord.read(path)
    assert "\n" not in str(caught.value)


def test_what_keeps_scores_from_being_compared_is_named(search_record):
    one = search_record().conditions
    assert one.differences(one) == []
    other = search_record(max_epochs=8, training_version=2).conditions
    assert one.differences(other) == ["epochs: 6 and 8", "training version: 1 and 2"]
