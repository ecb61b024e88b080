import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tune import league
from tune.report.answers import within_reach
from tune.report.league import LEAGUE_PAGE
from utkface.evaluation.report.findings import PUBLISHED
from utkface.io import UserError

DATA = {"source": "faces", "is_demo": False, "num_faces": 23705, "fingerprint": "0e04"}


def estimate(value, half, spread=None):
    if value is None:
        return {"value": None, "low": None, "high": None, "spread": None}
    return {"value": value, "low": value - half, "high": value + half, "spread": spread}


def make_row(label, mae, accuracy, protocol="random", **fields):
    overall = {"age_mae": estimate(mae, 0.1, 0.02), "gender_accuracy": estimate(accuracy, 0.007)}
    return {
        "label": label, "headline": False, "protocol": protocol, "part": "test", "num_seeds": 3,
        "num_faces": 4741, "config": {"image_size": 128, "epochs": 12},
        "train_seconds": [600.0, 1800.0], "overall": overall,
    } | fields  # fmt: skip


def make_evaluation(*rows, **fields):
    return {
        "created": "2026-11-23T23:00:00", "command": "tune/retrain_best.py --seeds 3",
        "commit": "ec17ad4", "data": DATA,
        "hardware": {"cpus": 2.0}, "rows": list(rows), "baselines": [], "flip": False,
        "leak": {"random": 337}, "name": "run", "image_size": 128, "epochs": 12,
    } | fields  # fmt: skip


@pytest.fixture
def save(tmp_path):
    def write(name, evaluation):
        (tmp_path / name).mkdir(exist_ok=True)
        text = evaluation if isinstance(evaluation, str) else json.dumps(evaluation)
        (tmp_path / name / "evaluation.json").write_text(text)

    return write


def write_league(results):
    """Write the page of a folder as retraining does, and return its text."""
    path = league.write_league(results, results / LEAGUE_PAGE)
    assert path == results / "league.md"
    return path.read_text()


def models(text, section):
    """The first cells of a section's table, in order."""
    table = text.split(f"## {section} split", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [row.split(" | ")[0].removeprefix("| ") for row in rows]


def test_published_rows_stand_without_any_run(tmp_path):
    text = write_league(tmp_path)
    assert len(models(text, "Random")) == len(PUBLISHED) == 10
    assert models(text, "Random")[0] == r"SENet50\_f"
    line = next(line for line in text.splitlines() if line.startswith("| SVC"))
    assert line.startswith("| SVC on features | 1.020 | 5.49 | – | 94.64 | – |")
    assert "published: Sheoran et al. 2021, arXiv 2110.12633, random 80/10/10 |" in line


def test_measured_rows_come_in_the_order_of_their_score(tmp_path, save):
    rows = [
        make_row("worst", 9.0, 0.8), make_row("best", 4.4, 0.95, headline=True),
        make_row("unmeasured", None, None), make_row("validated", 1.0, 1.0, part="validation"),
        make_row("best", 4.6, 0.94, "grouped"),
    ]  # fmt: skip
    save("run", make_evaluation(*rows, baselines=[make_row("median", 12.0, 0.52, seconds=0.1)]))
    text = write_league(tmp_path)
    order = models(text, "Random")
    assert order[0] == "**best**"
    assert order[-3:] == ["worst", "median", "unmeasured"]
    assert models(text, "Grouped") == ["best"]
    assert "validated" not in text
    assert (
        "| **best** | 0.875 | 4.40 [4.30 to 4.50] | 0.02 | 95.0 [94.3 to 95.7] | – | 3 | 128 | 12 "
        "| 20 min 00 s | 2 CPU cores | measured: [run](run/) |"
    ) in text
    assert "337 of the 4741 test faces" in text
    assert "- command: tune/retrain\\_best.py --seeds 3" in text
    assert "- commit: ec17ad4" in text


def test_images_that_grew_and_mirrored_averages_are_said(tmp_path, save):
    row = make_row("a", 4.4, 0.95, config={"image_size": 128, "initial_image_size": 64})
    baseline = make_row("median", 12.0, 0.52, seconds=0.1)
    save("run", make_evaluation(row, flip=True, baselines=[baseline]))
    text = write_league(tmp_path)
    assert "| 64 to 128 |" in text
    assert text.count("averaged with the mirror image |") == 1  # baselines never are


def test_a_run_says_what_it_trained_on_and_who_evaluated_it_later(tmp_path, save):
    hardware = {"cpus": 16.0, "gpus": 1.0, "accelerators": ["H100"], "gpus_per_trial": 0.0}
    by = {"command": "tune/retrain_best.py --resume /home/me/run", "commit": "be4e2f5"}
    row = make_row("a", 4.4, 0.95)
    save("run", make_evaluation(row, hardware=hardware, evaluated_by=by))
    text = write_league(tmp_path)
    assert "| 16 CPU cores | measured" in text
    assert r"- evaluated by: tune/retrain\_best.py --resume run (commit be4e2f5)" in text
    by = {"command": "tune/retrain_best.py --seeds 3", "commit": "ec17ad4"}
    save("run", make_evaluation(row, hardware=hardware | {"gpus_per_trial": 1}, evaluated_by=by))
    text = write_league(tmp_path)
    assert "| H100 | measured" in text
    assert "evaluated by" not in text


@pytest.mark.parametrize(
    ("part", "data"), [("validation", DATA), ("test", {**DATA, "is_demo": True})]
)
def test_neither_validation_nor_demo_faces_enter(tmp_path, save, part, data):
    save("run", make_evaluation(make_row("drawn", 1.0, 1.0, part=part), data=data))
    text = write_league(tmp_path)
    assert "drawn" not in text
    assert "have a copy" not in text


@pytest.mark.parametrize(
    "damaged",
    [
        "", '{"rows": [', "[]", "{}", '"text"', '{"data": {"is_demo": false}, "rows": [NaN]}',
        '{"data": {"is_demo": false}, "rows": [{"label": "foreign"}]}',
        json.dumps(make_evaluation(make_row("foreign", 4.0, 0.9, train_seconds=["soon"]))),
        json.dumps(make_evaluation(make_row("foreign", 4.0, 0.9, config="none"))),
        json.dumps(make_evaluation(make_row("foreign", 4.0, 0.9), seconds=3)),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line_and_no_row(tmp_path, save, capsys, damaged):
    save("bad", damaged)
    save("good", make_evaluation(make_row("good", 4.4, 0.95)))
    text = write_league(tmp_path)
    assert "good" in models(text, "Random")
    assert "foreign" not in text
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(tmp_path / "bad" / "evaluation.json") in lines[0]


def test_the_same_files_give_the_same_bytes(tmp_path, save):
    for name in ("b", "a", "c"):
        save(name, make_evaluation(make_row("same", 4.4, 0.95)))
    first = write_league(tmp_path)
    assert write_league(tmp_path) == first


def test_a_label_cannot_break_the_table(tmp_path, save):
    save("run", make_evaluation(make_row("a | b\n<b>", 4.4, 0.95)))
    assert r"| a \| b \<b\> | 0.875 | 4.40" in write_league(tmp_path)


def test_the_committed_table_is_what_its_summaries_make(tmp_path):
    repository = Path(__file__).resolve().parents[3]
    files = [f"results/*/{name}.json" for name in ("evaluation", "search", "best")]
    command = ["git", "-C", str(repository), "ls-files", *files]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which summaries are committed cannot be told")
    for name in listed.stdout.split():  # a user's own runs are in results/ too
        (tmp_path / Path(name).parent.name).mkdir(exist_ok=True)
        shutil.copy(repository / name, tmp_path / Path(name).parent.name)
    assert write_league(tmp_path) == (repository / "results/README.md").read_text()


def test_trials_are_told_apart_by_their_search(tmp_path, save):
    for search in ("wide-1", "wide-2"):
        row = make_row("trial 1", 4.4, 0.95, headline=True)
        baseline = make_row("trial by error", 12.0, 0.52, seconds=0.1)
        save(f"of-{search}", make_evaluation(row, search=search, baselines=[baseline]))
    found = models(write_league(tmp_path), "Random")
    assert found[:2] == ["**trial 1 of wide-1**", "**trial 1 of wide-2**"]
    assert found[-2:] == ["trial by error"] * 2


def test_rows_of_other_faces_stand_in_a_table_of_their_own(tmp_path, save):
    save("all", make_evaluation(make_row("all", 4.4, 0.95)))
    save("few", make_evaluation(make_row("few", 3.4, 0.99), data={**DATA, "num_faces": 900}))
    save("other", make_evaluation(make_row("other", 3.4, 0.99), data={**DATA, "fingerprint": "00"}))
    save("cut", make_evaluation(make_row("cut", 3.4, 0.99, num_faces=90)))
    text = write_league(tmp_path)
    first, *others = text.split("## Random split", 1)[1].split("## Runs")[0].split("\n### ")
    assert "| all | " in first
    assert "| SVC on features |" in first
    for name, table in zip(("other", "cut", "few"), others, strict=True):
        assert f"| {name} | " in table
        assert f"| {name} | " not in first
    assert "other faces: 90 of 23705, fingerprint 0e04" in others[1]


def test_the_command_writes_what_it_is_asked_for(tmp_path, save, capsys):
    save("run", make_evaluation(make_row("mine", 4.4, 0.95)))
    with pytest.raises(SystemExit) as ended:
        league.main(["--help"])
    assert ended.value.code == 0
    assert "league table" in capsys.readouterr().out
    league.main([str(tmp_path)])
    league.main([str(tmp_path), "--output", str(tmp_path / "page.md")])
    assert (tmp_path / "README.md").read_text() == (tmp_path / "page.md").read_text()
    (tmp_path / "README.md").write_text("# My runs\n")
    with pytest.raises(UserError, match=r"README\.md is not a league table.*--output"):
        league.main([str(tmp_path)])
    assert (tmp_path / "README.md").read_text() == "# My runs\n"
    with pytest.raises(UserError, match="there is no folder"):
        league.main([str(tmp_path / "nowhere")])


def test_a_command_names_no_folder_outside_the_project(save, tmp_path):
    command = "tune/retrain_best.py --weights=../elsewhere/w.pth --data /home/me/faces --seeds 3"
    save("run", make_evaluation(make_row("trial 1", 4.8, 0.93), command=command))
    text = write_league(tmp_path)
    assert "w.pth --data faces --seeds 3" in text.replace("\\", "")
    assert "elsewhere" not in text
    assert "/home" not in text
    assert within_reach("run_search.py --data /home/me/faces") == "run_search.py --data faces"


def test_committed_records_point_to_nothing_outside_the_project():
    repository = Path(__file__).resolve().parents[3]
    command = ["git", "-C", str(repository), "ls-files", "results"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which records are committed cannot be told")
    outside = re.compile(
        r"""(?:^|[\s"'>=])(?:\.\./\w|~/|/(?:home|root|tmp|var|work|Users)/)""", re.M
    )
    texts = [repository / n for n in listed.stdout.split() if n.endswith((".json", ".html"))]
    assert texts
    assert [path.name for path in texts if outside.search(path.read_text("utf-8"))] == []
