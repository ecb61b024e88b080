import json

import pytest

from search_spaces.common import REFERENCE, REFERENCE_SETTINGS
from tune.options.retrain import RetrainOptions
from tune.records.run_folder import SearchFolder
from tune.retrain.finalists import describe_progress, find_finalists, find_search
from utkface.config import TrainConfig
from utkface.io import UserError


@pytest.fixture
def write_search(search_record):
    """Write what retraining reads of a search; one that came with the code has no journal."""

    def write(results, name, *, scores=(1.1, 1.2), own=True, **changes):
        folder = SearchFolder(results / name)
        folder.path.mkdir(parents=True)
        folder.write_record(search_record(name=name, num_trials=5, **changes))
        states = ["COMPLETE"] * len(scores) + ["PRUNED", "RUNNING"]
        (folder.path / "trials.csv").write_text("\n".join(["state", *states]))
        if own:
            folder.journal.touch()
        finalists = [
            {"trial": number, "score": score, "config": TrainConfig(max_lr=score / 1000).to_dict()}
            for number, score in enumerate(scores)
        ]
        if finalists:
            folder.best.write_text(json.dumps({**finalists[0], "finalists": finalists}))
        return folder

    return write


def options(results, **values):
    return RetrainOptions(results=results, **values)


def test_by_default_it_is_the_newest_of_ones_own_that_has_a_best(write_search, tmp_path):
    write_search(tmp_path, "old", created="2026-01-01")
    newest = write_search(tmp_path, "new", created="2026-01-02", status="interrupted")
    write_search(tmp_path, "just-begun", created="2026-01-03", status="running", scores=())
    write_search(tmp_path, "example", created="2026-01-04", own=False)
    found = find_search(options(tmp_path))
    assert found is not None
    assert found.path == newest.path


def test_it_is_said_which_search_it_is_and_how_far_it_came(write_search, tmp_path):
    done = write_search(tmp_path, "done", scores=(1.0, 1.1, 1.2, 1.3))
    assert describe_progress(done) == "done, finished: 5 of 5 trials ended, 4 of them complete"
    part = write_search(tmp_path, "part", status="interrupted")
    assert describe_progress(part) == (
        "part, interrupted: 3 of 5 trials ended, 2 of them complete; its best may be yet to come "
        "(python tune/run_search.py --resume part)"
    )


@pytest.mark.parametrize(
    ("scores", "wish", "message"),
    [
        ((), {}, "no trial of your searches.*--resume"),
        ((), {"search": "run"}, "no trial of run has run all its epochs"),
        ((1.0,), {"search": "walk"}, "no search at 'walk'.*run"),
    ],
)
def test_a_search_without_a_best_trial_is_refused(write_search, tmp_path, scores, wish, message):
    write_search(tmp_path, "run", scores=scores)
    with pytest.raises(UserError, match=message):
        find_search(options(tmp_path, **wish))


def test_without_a_search_of_ones_own_it_is_said_where_to_begin(write_search, tmp_path):
    first = r"no search of yours in .*run this first: python tune/run_search\.py"
    with pytest.raises(UserError, match=first):
        find_search(options(tmp_path))
    write_search(tmp_path, "example", own=False)
    with pytest.raises(
        UserError, match=r"1 came with the code: --search example\).*run this first"
    ):
        find_search(options(tmp_path))
    assert find_search(options(tmp_path, search="example")) is not None


@pytest.mark.parametrize(
    ("asked", "num_found"), [({}, 3), ({"top_k": 2}, 2), ({"top_k": 4}, 4), ({"folds": 2}, 1)]
)
def test_the_best_come_in_order_and_three_are_enough_one_to_teach(
    write_search, tmp_path, asked, num_found
):
    scores = (1.0, 1.5, 2.0, 2.5)
    search = write_search(tmp_path, "run", scores=scores)
    found = find_finalists(options(tmp_path, **asked), search)
    assert [finalist.label for finalist in found] == [f"trial {i}" for i in range(num_found)]
    assert [1000 * each.config.max_lr for each in found] == pytest.approx(scores[:num_found])


def test_there_may_be_fewer_than_three_but_not_than_asked_for(write_search, tmp_path):
    search = write_search(tmp_path, "short", scores=(1.0, 1.5))
    assert len(find_finalists(options(tmp_path), search)) == 2
    with pytest.raises(UserError, match="names 2 finalists, not 3"):
        find_finalists(options(tmp_path, top_k=3), search)


@pytest.mark.parametrize("text", ["{", "[]", '{"finalists": [{}]}', '{"finalists": 3}'])
def test_a_torn_list_of_finalists_is_told(write_search, tmp_path, text):
    search = write_search(tmp_path, "run")
    (search.path / "best.json").write_text(text)
    with pytest.raises(UserError, match=r"best\.json cannot be read"):
        find_finalists(options(tmp_path), search)


def test_configurations_come_by_name_from_files_and_from_a_search(write_search, tmp_path):
    (tmp_path / "mine.json").write_text('{"max_lr": 0.01}')
    best = write_search(tmp_path, "run").path / "best.json"
    names = [f"reference:{name}" for name in REFERENCE_SETTINGS]
    wanted = options(tmp_path, config=[*names, str(tmp_path / "mine.json"), str(best)])
    assert find_search(wanted) is None
    found = {finalist.label: finalist.config for finalist in find_finalists(wanted, None)}
    assert found["mine"] == TrainConfig(max_lr=0.01)
    assert found["best"].max_lr == pytest.approx(0.0011)
    assert found["reference: oversampling"] == TrainConfig.from_dict(
        {**REFERENCE, "intensive_pipeline": "reference"}
    )
    assert found["reference: basic augmentation"].oversample_by == "none"
    assert not found["reference: from scratch"].pretrained
    plain = found["reference: no augmentation"]
    assert (plain.flip_p, plain.jitter_p, plain.perspective, plain.erasing_p) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("reference:best", None, "reference:best is unknown; allowed: reference:no-augm"),
        ("absent.json", None, "absent.json cannot be read as JSON"),
        ("torn.json", "{", "torn.json cannot be read as JSON"),
        ("list.json", "[1]", "holds no hyperparameters"),
        ("typo.json", '{"max_rl": 1}', "unknown hyperparameter max_rl=1; did you mean max_lr"),
    ],
)
def test_a_bad_configuration_is_refused(write_search, tmp_path, monkeypatch, name, text, message):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        find_finalists(options(tmp_path, config=[name]), None)
