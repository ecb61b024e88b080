import subprocess
import sys

import pytest

from tune.options import REPOSITORY, check_paths
from utkface.io import UserError


@pytest.mark.parametrize(
    ("data", "weights", "message"),
    [
        (["demo"], "imagenet", None),
        (None, "none", None),
        (["demo", "nowhere"], "none", "no such data: nowhere"),
        (["kaggle"], "nowhere.pth", "no weights file nowhere.pth"),
    ],
)
def test_faces_and_weights_that_are_not_there_are_refused_by_name(data, weights, message):
    if message is None:
        check_paths(data, weights)
    else:
        with pytest.raises(UserError, match=message):
            check_paths(data, weights)


@pytest.mark.parametrize("wrong", [["--space", "nosuch"], ["--space", "quick", "--data", "no/"]])
def test_a_wrong_name_is_told_without_loading_what_a_search_needs(wrong):
    code = (
        "import sys; from tune.run_search import main\n"
        "try: main(sys.argv[1:])\n"
        "except ValueError: sys.exit(any(name in sys.modules for name in ('torch', 'ray')))"
    )
    command = [sys.executable, "-c", code, *wrong]
    assert subprocess.run(command, check=False, cwd=REPOSITORY).returncode == 0
