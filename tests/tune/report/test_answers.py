import json

import pytest

from tune.report.answers import describe_answers, describe_commands, read_answers

CONFIRMED = {
    "trials": [
        {"trial": 8, "is_starting_point": False, "seeds": [0, 1000, 1001], "score": 1.31,
         "values": {"smooth_score": 1.25}, "age_mae": 5.5, "gender_accuracy": 0.911},
        {"trial": 2, "is_starting_point": True, "seeds": [0, 1000, 1001], "score": 1.35,
         "values": {"smooth_score": 1.29}, "age_mae": 5.6, "gender_accuracy": 0.909},
    ],
    "leads": [{"over": 2, "metric": "score", "value": 0.04, "low": 0.01, "high": 0.07}],
}  # fmt: skip


@pytest.fixture
def save(tmp_path, changed_search):
    def write(name, confirmation=CONFIRMED, **fields):
        folder = tmp_path / name
        folder.mkdir()
        record = changed_search(name=name, confirmation=confirmation, **fields)
        (folder / "search.json").write_text(json.dumps(record))
        return folder

    return write


def cells(paragraphs):
    """The cells of the table, row by row."""
    rows = paragraphs[1].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows]


def test_a_confirmed_search_answers_its_question_with_lead_and_interval(tmp_path, save):
    save("rates-1", space="rates", question="Which rate?", image_size=64, max_epochs=8)
    row = cells(describe_answers(read_answers(tmp_path)))[0]
    assert row[0] == "Which rate?"
    assert row[1] == (
        "trial 8 is the best; its lead over the starting point, "
        "trial 2: +0.040 in score (+0.010 to +0.070)"
    )
    assert row[3:8] == ["1.310", "5.50", "91.1", "64", "8"]
    assert row[-1] == "[rates-1](rates-1/)"


def test_what_won_is_what_was_searched_as_far_as_the_winner_used_it(tmp_path, save):
    parameters = {
        "max_lr": {"ranges": ["0.001..0.01 log"], "num_draws": 100},
        "oversample_by": {"ranges": ["'none' or 'age'"], "num_draws": 100},
        "oversample_balance": {"ranges": ["0.0..1.0"], "num_draws": 50},
    }
    folder = save("rates-1", space_signature={"parameters": parameters})
    config = {"max_lr": 0.002, "oversample_by": "none", "oversample_balance": 0.3, "dropout": 0.5}
    best = {"trial": 8, "score": 1.3, "config": config, "finalists": []}
    (folder / "best.json").write_text(json.dumps(best))
    row = cells(describe_answers(read_answers(tmp_path)))[0]
    assert row[2].replace("\\", "") == "max_lr 0.002, oversample_by none"


def test_the_newest_of_a_space_answers_and_demo_faces_and_unconfirmed_searches_do_not(
    tmp_path, save, search_json, capsys
):
    save("a-2", space="a", created="2026-11-26T02:00:00")
    save("a-1", space="a", created="2026-11-26T01:00:00")
    save("a-large", space="a", created="2026-11-20T01:00:00", image_size=128)
    save("b-1", space="b", confirmation=None)
    save("c-1", space="c", data={**search_json["data"], "is_demo": True})
    (save("d-1", space="d") / "search.json").write_text("{}")
    answers = read_answers(tmp_path)
    runs = [row[-1] for row in cells(describe_answers(answers))]
    assert runs == ["[a-2](a-2/)", "[a-large](a-large/)"]
    assert len(describe_commands(answers)) == 3  # the older one's as well
    assert capsys.readouterr().err.count("d-1/search.json cannot be read") == 1


def test_without_an_answer_there_is_no_section(tmp_path):
    assert describe_answers(read_answers(tmp_path)) == []
