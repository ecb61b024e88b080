import io
import math

import pandas as pd

from tune.records.trials import TrialRecord, trials_table
from utkface.evaluation.report.text import show, show_duration, show_fixed, show_percent


def record(number, scores, state="COMPLETE", *, params=None, config=None, reason=None):
    return TrialRecord(
        number=number, state=state, score=scores[-1] if scores else None, params=params or {},
        config=config or {}, epochs=[{"epoch": i, "score": s} for i, s in enumerate(scores, 1)],
        reason=reason, started="2026-01-01T10:00:00", ended="2026-01-01T11:00:00",
    )  # fmt: skip


def test_one_row_per_trial_with_what_varied():
    records = [
        record(
            1, [2.0, 1.5], params={"lr": 0.2},
            config={"lr": 0.2, "size": 64, "backbone": "large"},
        ),
        record(
            0, [2.0, 1.0, 1.2], params={"lr": 0.1, "steps": 3},
            config={"lr": 0.1, "size": 64, "backbone": "small", "steps": 3},
        ),
        record(2, [], "FAIL", reason="out of memory"),
    ]  # fmt: skip
    table = trials_table(records)
    assert list(table["number"]) == [0, 1, 2]
    assert list(table.columns[-3:]) == ["backbone", "lr", "steps"]  # "size" never varied
    first, _, failed = table.to_dict("records")
    assert (first["score"], first["epochs"]) == (1.2, 3)
    assert (first["best_epoch"], first["best_epoch_score"]) == (2, 1.0)
    assert first["seconds"] == 3600
    assert failed["reason"] == "out of memory"
    text = table.to_csv(index=False)
    assert ",small,0.1,3\n" in text  # 3, not 3.0, beside empty cells
    assert len(pd.read_csv(io.StringIO(text))) == 3


def test_a_table_of_nothing_has_its_columns():
    table = trials_table([])
    assert len(table) == 0
    assert {"number", "state", "score", "reason"} <= set(table.columns)


def test_values_are_written_as_people_write_them():
    assert [show(v) for v in (None, True, 0.000123456, 1e4, 0.1 + 0.2, math.nan, "a")] == [
        "–", "yes", "0.0001235", "10000", "0.3", "nan", "a",
    ]  # fmt: skip
    assert [show_fixed(v, 2) for v in (1.0, -0.5, None, math.inf, True)] == [
        "1.00",
        "−0.50",
        "–",
        "–",
        "–",
    ]
    assert [show_percent(v) for v in (0.9371, None)] == ["93.7 %", "–"]
    assert [show_duration(v) for v in (7500, 200, 12, None)] == [
        "2 h 05 min", "3 min 20 s", "12 s", "–",
    ]  # fmt: skip
