"""What every test of a search space needs."""

import pytest


@pytest.fixture(autouse=True)
def weights_file(tmp_path, monkeypatch):
    """What `weak_groups` reads; no other space looks at it."""
    path = tmp_path / "weights.json"
    path.write_text('{"group_weights": "80+ female=1.5, 0-3=1.2"}')
    monkeypatch.setenv("UTKFACE_GROUP_WEIGHTS", str(path))
    return path
