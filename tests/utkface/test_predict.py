"""``python -m utkface.predict``: rows as asked for, one line for what is wrong, and the status."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from utkface import predict
from utkface.config import TrainConfig
from utkface.intervals import AgeIntervals, fit_intervals
from utkface.io import UserError
from utkface.model import TrainedModel, build_model, save_model

COLUMNS = ["file", "age", "age_low", "age_high", "gender", "gender_probability", "error"]


def save(path: Path, about: dict | None = None, interval: AgeIntervals | None = None) -> Path:
    """Save a model that was never trained."""
    torch.manual_seed(0)
    config = TrainConfig(image_size=32, pretrained=False)
    save_model(path, TrainedModel(build_model(config).eval(), config, about or {}, interval))
    return path


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    interval = fit_intervals([30] * 50, np.linspace(20, 40, 50))
    return save(tmp_path_factory.mktemp("model") / "model.pt", interval=interval)


@pytest.fixture
def faces(tmp_path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (40, 40), (80 * i, 60, 60)).save(folder / f"{i}.png")
    return folder


def run(model_file: Path, *arguments: object) -> int:
    return predict.main(["--model", str(model_file), "--device", "cpu", *map(str, arguments)])


def test_csv_and_json_lines_say_the_same(model_file, faces, capsys) -> None:
    (faces / "broken.jpg").write_bytes(b"nothing")
    assert run(model_file, faces) == 1
    out, err = capsys.readouterr()
    table = list(csv.DictReader(io.StringIO(out)))
    assert list(table[0]) == COLUMNS
    assert run(model_file, faces, "--format", "jsonl") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in lines] == [COLUMNS] * 4
    as_text = [{k: "" if v is None else str(v) for k, v in line.items()} for line in lines]
    assert as_text == table
    assert [Path(row["file"]).name for row in table] == ["0.png", "1.png", "2.png", "broken.jpg"]
    assert table[3]["error"] == "not an image"
    assert not any(table[3][column] for column in COLUMNS[1:-1])
    assert 0 <= lines[0]["age_low"] < lines[0]["age"] < lines[0]["age_high"] <= 116
    assert err.splitlines()[0] == f"{faces / 'broken.jpg'}: not an image"


def test_flip_is_for_the_model_to_say_unless_asked_for(model_file, faces, monkeypatch) -> None:
    load = mock.Mock(side_effect=predict.Predictor.load)
    monkeypatch.setattr(predict.Predictor, "load", load)
    for options in ([], ["--flip"], ["--no-flip"]):
        assert run(model_file, faces, *options) == 0
    assert [call.kwargs["flip"] for call in load.call_args_list] == [None, True, False]


def test_the_status_tells_all_some_and_none(model_file, faces) -> None:
    assert run(model_file, faces / "0.png") == 0
    assert run(model_file, faces / "0.png", faces / "gone.png") == 1
    assert run(model_file, faces / "gone.png") == 2


def test_the_output_file_appears_whole_or_not_at_all(
    model_file, faces, tmp_path, monkeypatch, capsys
) -> None:
    path = tmp_path / "out" / "rows.jsonl"
    assert run(model_file, faces, "--output", path) == 0
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3
    assert capsys.readouterr().out == ""
    before = path.read_bytes()
    monkeypatch.setattr(predict.Predictor, "_rows", mock.Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(model_file, faces / "0.png", "--output", path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_no_file_is_not_replaced_by_one(model_file, faces, tmp_path) -> None:
    for path in ("/dev/null", tmp_path):
        with pytest.raises(UserError, match="no ordinary file"):
            run(model_file, faces, "--output", path)


def test_a_name_that_is_no_text_comes_out_as_the_bytes_it_is(model_file, faces, tmp_path) -> None:
    name = os.fsdecode(b"caf\xe9, one.png")
    (faces / "0.png").rename(faces / name)
    for suffix in ("csv", "jsonl"):
        assert run(model_file, faces / name, "--output", tmp_path / f"rows.{suffix}") == 0
    assert b'caf\xe9, one.png",' in (tmp_path / "rows.csv").read_bytes()
    assert json.loads((tmp_path / "rows.jsonl").read_bytes())["file"] == str(faces / name)


def test_the_newest_model_is_the_default_and_named(
    model_file, faces, tmp_path, monkeypatch, capsys
):
    results = tmp_path / "results"
    monkeypatch.setattr(predict, "RESULTS", results)
    with pytest.raises(UserError, match=r"no model in .*retrain-\*/model\.pt"):
        predict.main([str(faces)])
    for age_s, name in ((100, "retrain-b"), (0, "retrain-a"), (50, "retrain-c")):
        (results / name).mkdir(parents=True)
        (results / name / "model.pt").write_bytes(model_file.read_bytes())
        time_s = 1_700_000_000 - age_s
        os.utime(results / name / "model.pt", (time_s, time_s))
    assert predict.main([str(faces / "0.png")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"model: {results / 'retrain-a' / 'model.pt'}"


def test_a_model_without_intervals_says_so_once(faces, tmp_path, capsys) -> None:
    assert run(save(tmp_path / "m.pt"), faces, "--batch-size", 1) == 0
    out, err = capsys.readouterr()
    assert err.count("holds no intervals") == 1
    assert {row["age_low"] for row in csv.DictReader(io.StringIO(out))} == {""}


def test_a_model_of_demo_faces_says_so(faces, tmp_path, capsys) -> None:
    for is_demo in (True, False):
        assert run(save(tmp_path / "m.pt", {"is_demo": is_demo}), faces) == 0
        assert ("learned from drawn demo faces" in capsys.readouterr().err) is is_demo


def test_help_says_what_faces_and_which_intervals(capsys) -> None:
    with pytest.raises(SystemExit):
        predict.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for said in ("aligned and cropped", "no face detector", "validation part", "exit status"):
        assert said in text


@pytest.mark.slow
def test_a_hostile_model_ends_the_command_in_one_line_and_status_two(faces, tmp_path) -> None:
    class Malice:
        def __reduce__(self) -> tuple:
            return (tmp_path.joinpath("ran").mkdir, ())

    torch.save({"kind": Malice()}, tmp_path / "model.pt")
    command = [sys.executable, "-m", "utkface.predict", "--model", tmp_path / "model.pt", faces]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_reader_that_leaves_early_sees_no_traceback(model_file, faces) -> None:
    command = [sys.executable, "-m", "utkface.predict", "--batch-size", "1", "--model", model_file]
    many = [faces / "0.png"] * 1_000
    with subprocess.Popen([*command, *many], stdout=-1, stderr=-1) as process:
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 1
