"""Arrows between the rooms go one way: tune -> search_spaces -> utkface.config, tune -> utkface."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("tune", "utkface", "search_spaces")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
}
LIGHT = {"torch", "torchvision", "numpy", "pandas", "PIL"}
#: Judging a model may take more than training one does.
JUDGING = LIGHT | {"sklearn", "scipy", "matplotlib", "jinja2", "markupsafe", "lime", "pydantic"}


def imports_of(text, package="", *, only_on_import=False):
    """Return the modules that a text imports, relative names made absolute.

    With ``only_on_import``, leave out what waits for a function call or a type checker.
    """
    found = []

    def visit(node):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            parent = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            found.append(parent)
            found.extend(f"{parent}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if not (only_on_import and (lazy or typing_only)):
                visit(child)

    visit(ast.parse(text))
    return found


def imports_of_module(name, **options):
    package = name.removesuffix(".__init__").rpartition(".")[0]
    if name.endswith(".__init__"):
        package = name.removesuffix(".__init__")
    return imports_of(MODULES[name].read_text(), package, **options)


def roots(names):
    return {name.partition(".")[0] for name in names}


def within(room):
    return [name for name in MODULES if name.partition(".")[0] == room]


def test_the_reader_of_imports_sees_every_form():
    text = (
        "import a.b, c\nfrom . import d\nfrom ..e import f\n"
        "if TYPE_CHECKING:\n    import g\ndef h():\n    import i\n"
    )
    assert imports_of(text, "x.y") == ["a.b", "c", "x.y", "x.y.d", "x.e", "x.e.f", "g", "i"]
    assert roots(imports_of(text, "x.y", only_on_import=True)) == {"a", "c", "x"}


@pytest.mark.parametrize("name", within("utkface"))
def test_utkface_knows_nothing_of_searching(name):
    forbidden = {"ray", "optuna", "wandb", "tune", "search_spaces"}
    assert not roots(imports_of_module(name)) & forbidden


@pytest.mark.parametrize("name", within("utkface"))
def test_utkface_imports_with_few_libraries(name):
    judging = name.startswith("utkface.evaluation")
    allowed = sys.stdlib_module_names | (JUDGING if judging else LIGHT) | {"utkface"}
    assert roots(imports_of_module(name, only_on_import=True)) <= allowed


@pytest.mark.parametrize("name", within("utkface"))
def test_what_trains_and_predicts_needs_nothing_of_what_judges(name):
    if not name.startswith("utkface.evaluation"):
        found = imports_of_module(name, only_on_import=True)
        assert not [other for other in found if other.startswith("utkface.evaluation")]


@pytest.mark.parametrize("name", within("search_spaces"))
def test_search_spaces_know_configurations_and_nothing_that_trains(name):
    found = imports_of_module(name)
    assert roots(found) <= sys.stdlib_module_names | {"optuna", "search_spaces", "utkface"}
    own = [found_name for found_name in found if found_name.startswith("utkface")]
    assert all(found_name.startswith(("utkface.config", "utkface.errors")) for found_name in own)


@pytest.mark.parametrize("name", [*within("utkface"), *within("search_spaces")])
def test_nothing_imports_tune(name):
    assert "tune" not in roots(imports_of_module(name))


@pytest.mark.parametrize(("name", "own"), [("config", {"utkface"}), ("errors", set())])
def test_a_configuration_can_be_checked_with_the_standard_library_alone(name, own):
    found = imports_of_module(f"utkface.{name}")
    assert roots(found) <= sys.stdlib_module_names | own
    utkface = {found_name for found_name in found if found_name.startswith("utkface")}
    assert utkface <= {"utkface.errors", "utkface.errors.UserError"}
