"""What the page shows of searches that minimise something else than the score."""


def test_several_objectives_show_their_front(make_search, write):
    made = make_search(24)
    made.search["objectives"] = ["age_mae", "gender_log_loss", "worst_group_mae"]
    complete = [record for record in made.records if record.state == "COMPLETE"]
    for record in complete:  # better ages at the price of the worst group: none beats another
        record.epochs[-1]["worst_group_mae"] = 50 / record.epochs[-1]["age_mae"]
    complete[4].epochs[-1].update(dict.fromkeys(made.search["objectives"], 99.0))
    page = write(made)
    del complete[4]
    front = sorted(complete, key=lambda record: record.score)
    assert "16 complete trials by age_mae and worst_group_mae, and the front" in page.labels
    assert sum("and the front" in label for label in page.labels) == 3
    assert f"{len(front)} of the complete ones cannot be beaten in age_mae" in page.words
    assert "The configurations of the front, and what differs" in page.words
    shown = " ".join(str(record.number) for record in front[:12])
    assert f"trial {shown} score" in page.words
    assert "second best" not in page.words


def test_one_other_objective_is_what_the_page_is_about(make_search, write):
    made = make_search(24)
    made.search["objectives"] = ["worst_group_mae"]
    best = made.records[4]
    best.epochs[-1]["worst_group_mae"] = 1.5
    page = write(made)
    assert "trial 4 with a validation worst age group's MAE of 1.5000" in page.words
    for start in (
        "Best worst age group's MAE so far over time, ending at 1.5",
        "Worst age group's MAE after each epoch of 24 trials",
        "Worst age group's MAE against max_lr",
    ):
        assert any(label.startswith(start) for label in page.labels), start
    assert "Pareto" not in page.words
    assert "1 is the reference's published model" in page.words  # the score's tile stays
    assert "a score of 1, the reference's published model" not in page.words
