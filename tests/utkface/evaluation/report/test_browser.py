"""Both pages in a real browser, on a phone and on a desk, by day and by night."""

import pytest
from PIL import Image

from utkface.evaluation.report.page import PAGE, PAGE_WITHOUT_FACES, write_evaluation_report


@pytest.mark.parametrize("name", [PAGE, PAGE_WITHOUT_FACES])
def test_an_evaluation_can_be_read(make_evaluation, look_at, tmp_path, name):
    made = make_evaluation()
    made.sheets = {"Largest age errors": tmp_path / "sheet.png"}
    Image.new("RGB", (600, 200), "grey").save(tmp_path / "sheet.png")
    write_evaluation_report(made.evaluation, made.predictions, tmp_path, made.sheets)
    seen = look_at(tmp_path / name)
    assert seen.problems == []
    assert all(len(figures) == 23 for figures in seen.figures)


def test_groups_with_long_names_can_be_read(make_evaluation, look_at, tmp_path):
    made = make_evaluation()
    for group in made.row().subgroups["contrast"]:
        group.group = "0.0004964–0.0007649"
    write_evaluation_report(made.evaluation, made.predictions, tmp_path, {})
    assert look_at(tmp_path / PAGE).problems == []
