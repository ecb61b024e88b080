"""What a retraining refuses and remarks before and after it trains."""

import dataclasses
from argparse import Namespace
from types import SimpleNamespace

import pytest

from tune.cluster import Resources, Weights
from tune.options.retrain import RetrainOptions
from tune.records.retrain import Finalist
from tune.records.run_folder import RetrainFolder
from tune.retrain import prepare, run
from tune.retrain.evaluate import describe_model
from tune.retrain.prepare import _refuse_shared_files, final_config, remarks
from utkface.config import TrainConfig
from utkface.io import UserError


@pytest.mark.parametrize(
    ("searched", "asked", "enlarge", "final"),
    [
        ((64, 8), {}, True, (160, 16)),
        ((200, 8), {}, True, (200, 16)),
        ((64, 30), {}, True, (160, 30)),
        ((64, 8), {"image_size": 96, "epochs": 4}, True, (96, 4)),
        ((64, 8), {}, False, (64, 8)),
    ],
)
def test_a_final_model_is_no_smaller_than_its_search_s(searched, asked, enlarge, final):
    config = TrainConfig(image_size=searched[0], epochs=searched[1])
    made = final_config(config, RetrainOptions(**asked), enlarge=enlarge)
    assert (made.image_size, made.epochs) == final


def test_no_other_model_is_silently_promoted(tmp_path, make_plan):
    def said(plan, label, *, headline):
        shown = SimpleNamespace(label=label, headline=headline)
        return describe_model(plan, shown, tmp_path / "model.pt")[1:]

    plan = make_plan()
    assert said(plan, "mine", headline=True) == []
    (note,) = said(plan, "trial 2", headline=False)
    assert "mine has no trained model: model.pt and the page are of trial 2, the best" in note
    both = [*plan.finalists, Finalist("other", plan.finalists[0].config)]
    (note,) = said(dataclasses.replace(plan, finalists=both), "other", headline=False)
    assert "none was chosen beforehand: model.pt and the page are of other" in note


def test_a_summary_without_its_journal_is_not_trained_again(tmp_path, retrain_record):
    folder = RetrainFolder(tmp_path / "retrain-1")
    folder.path.mkdir()
    job = {
        "purpose": "retrain", "label": "mine", "protocol": "grouped", "part": "test", "seed": 0,
        "config": {},
    }  # fmt: skip
    folder.write_record(retrain_record(models=[{"job": job, "epochs": []}]))
    before = (folder.path / "retrain.json").read_bytes()
    with pytest.raises(UserError, match=r"retrain-1 has no study\.journal.*copy the run whole"):
        run.resume(folder, Namespace())
    assert (folder.path / "retrain.json").read_bytes() == before
    assert not folder.journal.exists()


def test_weights_that_were_replaced_since_are_refused(tmp_path, retrain_record):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"then")
    then = Weights.read(str(path))
    record = retrain_record(weights_hash=then.fingerprint)
    prepare.refuse_other_weights(record, then)
    prepare.refuse_other_weights(retrain_record(), then)  # an older record does not say
    path.write_bytes(b"now")
    with pytest.raises(UserError, match=r"weights\.pth holds other weights than .*put those back"):
        prepare.refuse_other_weights(record, Weights.read(str(path)))


def test_weights_that_are_not_where_they_were_are_not_replaced_by_others(
    tmp_path, search_record, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"the weights own[.]pth that .* began with are not here"):
        prepare._weights_here(search_record(weights="own.pth"))
    (tmp_path / "own.pth").write_bytes(b"")
    assert prepare._weights_here(search_record(weights="own.pth")) == "own.pth"
    assert prepare._weights_here(search_record(weights="none")) == "none"
    assert prepare._weights_here(None) == "imagenet"


def test_a_split_that_is_another_one_now_is_refused(make_plan, retrain_record, monkeypatch):
    plan = make_plan()
    monkeypatch.setattr(prepare, "_load", lambda options, finalists: plan)
    data = {**retrain_record().data.model_dump(), "fingerprint": plan.faces.fingerprint}
    (protocol, split), *_ = plan.splits.items()
    same = retrain_record(data=data, splits={protocol: split.hash})
    assert prepare.prepare_resumed(plan.options, same) is plan
    other = retrain_record(data=data, splits={protocol: "0123"})
    with pytest.raises(UserError, match=f"the {protocol} split is another one than when"):
        prepare.prepare_resumed(plan.options, other)


def test_models_of_cpus_and_gpus_are_not_mixed(retrain_record, finished_search):
    cpu, gpu = (Resources(cpus_per_trial=1, gpus_per_trial=g, concurrency=1) for g in (0, 0.5))
    run._refuse_another_device(retrain_record(), gpu)  # nothing was trained on anything yet
    hardware = {
        **finished_search["hardware"],
        "concurrency": 1, "cpus_per_trial": 1, "gpus_per_trial": 0.25,
    }  # fmt: skip
    record = retrain_record(hardware=hardware)
    run._refuse_another_device(record, gpu)
    with pytest.raises(UserError, match=r"ran on a GPU, these would run on a CPU.*start a new"):
        run._refuse_another_device(record, cpu)


@pytest.mark.parametrize("other", ["A B", "a-b", "a b ä", "a b"])
def test_configurations_that_would_share_model_files_are_refused(other):
    with pytest.raises(UserError, match=r"'a b' and '.*same files \(a-b-\*\.pt\); rename"):
        _refuse_shared_files([Finalist("a b", TrainConfig()), Finalist(other, TrainConfig())])


def test_a_schedule_that_needs_validation_faces_is_told(make_plan):
    config = make_plan().finalists[0].config.replace(schedule="plateau")
    assert "mine has schedule plateau: without validation faces" in remarks(make_plan(config))[0]
    assert remarks(make_plan(config, part="validation")) == []
    assert len(remarks(make_plan(config, part="validation", folds=3))) == 1
    assert remarks(make_plan()) == []
