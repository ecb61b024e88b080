"""Whether W&B is used online, offline or not at all."""

import subprocess
import sys

import pytest

from tune.tracking import resolve_mode
from utkface.io import UserError


@pytest.mark.parametrize(
    ("requested", "environment", "has_key", "mode"),
    [
        (None, None, True, "online"),
        (None, None, False, "offline"),
        (None, "offline", True, "offline"),
        (None, "disabled", True, "disabled"),
        ("online", "disabled", True, "online"),
        ("offline", None, True, "offline"),
        ("disabled", None, True, "disabled"),
    ],
)
def test_mode(wandb, monkeypatch, requested, environment, has_key, mode):
    wandb.has_key = has_key
    if environment:
        monkeypatch.setenv("WANDB_MODE", environment)
    resolved, line = resolve_mode(requested)
    assert resolved == mode
    # Something is said only where it goes otherwise than the user may expect.
    assert (line is not None and "wandb sync" in line) == (not has_key)


def test_online_without_a_key_and_unknown_modes_are_refused(wandb, monkeypatch):
    wandb.has_key = False
    with pytest.raises(UserError, match="no API key was found; run wandb login"):
        resolve_mode("online")
    wandb.failing.add("login")
    with pytest.raises(UserError, match="refused") as caught:
        resolve_mode("online")
    assert wandb.KEY not in str(caught.value)
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="'sometimes' is unknown; allowed: online"):
        resolve_mode(None)


def test_wandb_is_not_imported_when_disabled():
    code = (
        "import sys, tune.tracking as t; t.resolve_mode('disabled'); t.resolve_mode('offline');"
        "sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
