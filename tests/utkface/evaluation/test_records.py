"""``evaluation.json``: written and read without loss, committed ones too, and refused by field."""

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from utkface.evaluation.records import Estimate, read_evaluation
from utkface.io import UserError

RESULTS = Path(__file__).resolve().parents[3] / "results"


def test_numbers_are_rounded_and_settings_are_not(make_evaluation, tmp_path):
    evaluation = make_evaluation().evaluation
    evaluation.name = "ü"
    for row in evaluation.rows:
        row.config.max_lr = 0.018473581283594942
        row.overall["age_mae"].value = 4.5123456
    text = evaluation.to_text()
    (tmp_path / "evaluation.json").write_text(text, encoding="utf-8")
    read = read_evaluation(tmp_path / "evaluation.json")
    assert "ü" in text
    assert read.rows[0].config.max_lr == 0.018473581283594942
    assert read.rows[0].metric("age_mae").value == 4.5123
    assert text.count('\n{"label"') == len(evaluation.rows) + len(
        evaluation.baselines
    )  # a line each
    assert read.to_text() == text


def test_what_json_does_not_know_is_refused():
    with pytest.raises(ValidationError):
        Estimate(value=math.nan)


@pytest.mark.parametrize(
    "path", sorted(RESULTS.glob("retrain-*/evaluation.json")), ids=lambda path: path.parent.name
)
def test_older_evaluations_can_be_read(path):
    before, after = json.loads(path.read_text()), json.loads(read_evaluation(path).to_text())
    before["explanations"] = before["explanations"] or None
    if before["explanations"]:
        before["explanations"].pop("hardest", None)  # the page finds them in the predictions
    before.pop("intervals", None)  # of the model; those of each row are there
    for gap in (g for row in before["rows"] for by in row["gaps"].values() for g in by.values()):
        for name in ("worst_minus_best", "worst_minus_all"):
            if not isinstance(gap[name], dict):  # the first ones had no interval
                gap[name] = {"value": gap[name]}
    assert after == before


def test_a_damaged_evaluation_is_refused_by_field(make_evaluation, tmp_path):
    values = json.loads(make_evaluation().evaluation.to_text())
    path = tmp_path / "evaluation.json"

    def refusal(text):
        path.write_text(text)
        with pytest.raises(UserError) as caught:
            read_evaluation(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "its content" in refusal("{")
    values["rows"][1]["overall"]["age_mae"]["value"] = "soon"
    assert "rows.1.overall.age_mae.value" in refusal(json.dumps(values))
    del values["data"]
    assert "data is missing" in refusal(json.dumps(values))
