"""No file is read in a way that could run code which somebody put into it."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ROOMS = ("tune", "utkface", "search_spaces")
FILES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))
UNPICKLERS = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}


def unsafe_calls(source):
    """Return the calls of a source text that would run what a pickle says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = f"{ast.unparse(node.func.value)}.{node.func.attr}"
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        module, loads = name.split(".")[0], node.func.attr in ("load", "loads", "read_pickle")
        if loads and (
            module in UNPICKLERS
            or (module == "torch" and given.get("weights_only") != "True")
            or (module == "np" and given.get("allow_pickle", "False") != "False")
            or node.func.attr == "read_pickle"
        ):
            found.append(f"line {node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_code_runs_from_a_file_that_is_read(path):
    assert unsafe_calls(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "pickle.load(f)", "torch.load(path)", "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)", "pd.read_pickle(path)",
    ],
)  # fmt: skip
def test_what_would_run_code_is_found(source):
    assert len(unsafe_calls(source)) == 1
