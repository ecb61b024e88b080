import json
import math

import pytest

from utkface.evaluation.summary import evaluation_text


def test_numbers_are_rounded_and_settings_are_not():
    row = {"label": "a", "config": {"max_lr": 0.018473581283594942}, "value": 4.5123456, "n": 3}
    text = evaluation_text({"name": "ü", "rows": [row, row], "baselines": []})
    assert json.loads(text) == {
        "name": "ü", "rows": [row | {"value": 4.5123}, row | {"value": 4.5123}], "baselines": [],
    }  # fmt: skip
    assert text.count('\n{"label"') == 2  # one line each


def test_what_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        evaluation_text({"rows": [{"value": math.nan}]})
