"""The folder of a retraining: what was asked, the models, and the account of them.

results/retrain-<search>-<date>-<time>/
    study.journal        every model to train, every epoch and ending (Optuna); the truth
    retrain.json         what was asked, by whom it was trained, and every model's epochs
    evaluation.json      every number of the evaluation, and model_card.md,
    evaluation.html      the same for people (embeds faces: stays on this machine),
    figures/             its figures without faces
    model.pt             the headline configuration's first model, for `utkface.predict`
    models/              all models
    predictions.parquet  one row per face and model
    sheets/              LIME sheets (faces: stay on this machine)
    checkpoints/, data/, ray/, wandb/  as in a search's folder
"""

import json
from typing import Any

from tune.run_folder import RunFolder


class RetrainFolder(RunFolder):
    """One retraining's folder."""

    RECORD = "retrain.json"
    KIND, HOW_TO_START = "retraining", "start one with tune/retrain_best.py"

    @property
    def evaluation(self) -> dict[str, Any]:
        """The content of ``evaluation.json``, once there is one."""
        return json.loads((self.path / "evaluation.json").read_text(encoding="utf-8"))
