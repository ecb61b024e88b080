import re

from utkface.evaluation.measures import MEASURES
from utkface.evaluation.records import Row
from utkface.evaluation.report.card import write_model_card

SECTIONS = [
    "Model details", "Data and licence", "Protocol", "The worst groups", "Numbers", "All groups",
    "Limits", "Intended use", "Unintended use", "Ethical notes", "How to use it",
]  # fmt: skip


def test_a_card_has_every_section_and_metric(make_evaluation):
    made = make_evaluation()
    card = write_model_card(made.evaluation, made.row())
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == SECTIONS
    for measure in MEASURES.values():
        assert f"| {measure.heading} | " in card
    mae = made.row().metric("age_mae")
    assert f"| age MAE, years | {mae.value:.2f} | {mae.low:.2f} to {mae.high:.2f} |" in card
    assert "337" not in card  # of the random split alone
    assert "337 of the 700" in write_model_card(made.evaluation, made.row(protocol="random"))
    assert "Predictor.load" in card
    gap = made.row().gaps["race"]["age_mae"].worst_minus_best
    assert f"+{gap.value:.2f} ({gap.low:.2f} to {gap.high:.2f})".replace("-", "−") in card
    assert "- race: weights from validation errors" in card


def test_a_card_says_what_the_backbone_began_with_and_who_chose_the_configuration(make_evaluation):
    made = make_evaluation()
    made.evaluation.weights = "resnet50_faces.pth"
    card = write_model_card(made.evaluation, made.row())
    assert "- backbone began with: resnet50\\_faces.pth\n" in card
    assert "settled on validation faces" in card
    made.row().headline = False
    assert "No row was chosen beforehand" in write_model_card(made.evaluation, made.row())


def test_precision_is_the_one_that_training_ran_in(make_evaluation):
    made = make_evaluation()
    assert "amp: off (trained on CPUs)" in write_model_card(made.evaluation, made.row())
    made.evaluation.hardware.gpus_per_trial = 0.5
    assert "amp: bf16 (fp16 on a card without it)" in write_model_card(made.evaluation, made.row())


def test_tables_have_as_many_cells_as_their_head(make_evaluation):
    made = make_evaluation()
    made.row().subgroups["race"][0].group = "a|b\n|c"
    card = write_model_card(made.evaluation, made.row())
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert r"a\|b \|c" in card


def test_names_are_not_markup(make_evaluation):
    made = make_evaluation()
    row = made.row().model_copy(update={"label": "<img src=x> *bold* [a](b)"})
    card = write_model_card(made.evaluation, row)
    assert "<img" not in card.replace(r"\<img", "")
    assert r"\*bold\* \[a\](b)" in card


def test_demo_faces_are_said_on_top_and_in_every_row(make_evaluation):
    made = make_evaluation(is_demo=True)
    card = write_model_card(made.evaluation, made.row())
    assert "DEMO FACES" in "\n".join(card.splitlines()[:3])
    rows = [line for line in card.splitlines() if line.startswith("|") and "---" not in line]
    heads = {"| metric", "| group", "| by"}
    assert all("demo faces" in row for row in rows if row[: row.index(" |", 2)] not in heads)
    assert "susanqq" not in card
    assert "differ by 4 years" not in card


def test_what_is_known_of_utkface_is_said_of_no_other_faces(make_evaluation):
    made = make_evaluation()
    card = write_model_card(made.evaluation, made.row())
    assert "susanqq" in card
    assert "differ by 4 years" in " ".join(card.split())
    made.evaluation.data.num_faces = 900
    card = write_model_card(made.evaluation, made.row())
    assert "susanqq" not in card
    assert "differ by 4" not in " ".join(card.split())
    assert "Their terms are not" in card


def test_a_row_of_which_little_is_known(make_evaluation):
    row = Row(
        label="a", protocol="strange", part="test", headline=False, num_faces=9, num_seeds=1,
        overall={},
    )  # fmt: skip
    card = write_model_card(make_evaluation().evaluation, row)
    assert "| age MAE, years | – | – | – |" in card
    assert "## All groups" not in card
    assert "## The worst groups" not in card
    assert "nan" not in card
