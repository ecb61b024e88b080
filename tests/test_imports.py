"""Arrows between the rooms go one way: tune -> search_spaces -> utkface.config, tune -> utkface."""

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
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
    assert all(found_name.startswith(("utkface.config", "utkface.io")) for found_name in own)


@pytest.mark.parametrize("name", [*within("utkface"), *within("search_spaces")])
def test_nothing_imports_tune(name):
    assert "tune" not in roots(imports_of_module(name))


@pytest.mark.parametrize(("name", "own"), [("config", {"utkface.io"}), ("io", set())])
def test_a_configuration_can_be_checked_with_the_standard_library_alone(name, own):
    assert own_imports(f"utkface.{name}") == own
    found = imports_of_module(f"utkface.{name}", only_on_import=True)
    assert roots(found) <= sys.stdlib_module_names | {"utkface", "rich"}


def own_imports(name, *, only_on_import=True):
    """Return the project's modules that a module imports, by default when it is imported itself."""
    found = set(imports_of_module(name, only_on_import=only_on_import))
    # ``from a import b`` of a module or a package b is an arrow to b alone.
    own = {other for other in found if other in MODULES or f"{other}.__init__" in MODULES}
    parents = {other.rpartition(".")[0] for other in own}
    packages = {f"{other}.__init__" for other in found - parents}
    return (found | packages) & MODULES.keys() - {name}


def longest_chains(names):
    """Return the longest chain of imports that begins with each module, refusing circles."""
    chains = {}
    for name in TopologicalSorter({name: own_imports(name) for name in names}).static_order():
        rest = max((chains[other] for other in own_imports(name)), key=len, default=())
        chains[name] = (name, *rest)
    return chains


#: What every folder of utkface may import, as it imports nothing of the project itself.
GROUND = {"utkface.io", "utkface.config"}
MAX_CHAIN = 10


def test_imports_run_in_no_circle_and_no_long_chain():
    longest = max(longest_chains(MODULES).values(), key=len)
    assert len(longest) <= MAX_CHAIN, " -> ".join(longest)


def folder_arrows(names):
    """Return which folder imports which; a folder within another is one of its own."""

    def folder(name):
        return name.rpartition(".")[0]

    return {
        (folder(name), folder(other))
        for name in names
        for other in own_imports(name)
        if folder(name) != folder(other) and other not in GROUND
    }


def test_no_folder_imports_a_folder_that_imports_it():
    arrows = folder_arrows(MODULES)
    assert arrows
    mutual = {tuple(sorted(arrow)) for arrow in arrows if arrow[::-1] in arrows}
    assert mutual == set()


def test_the_rooms_of_tune_form_layers():
    """Also what waits for a function call counts: nothing leads back up."""
    arrows = {}
    for name in within("tune"):
        room = name.rpartition(".")[0]
        others = {other.rpartition(".")[0] for other in own_imports(name, only_on_import=False)}
        arrows.setdefault(room, set()).update(other for other in others if other.startswith("tune"))
    graph = {room: others - {room} for room, others in arrows.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("tune.cluster")])
def test_the_cluster_knows_nothing_of_what_runs_on_it(name):
    found = own_imports(name, only_on_import=False)
    beyond = {other for other in found if other.startswith("tune.")}
    beyond -= {other for other in beyond if other.startswith("tune.cluster.")}
    assert beyond <= {"tune.options.__init__"}  # where trials run is an option


def test_opening_a_run_loads_no_plotting_library():
    code = (
        "import sys, tune.console.screen, tune.records.run_folder, tune.study.past_runs;"
        "import tune.report.compare, tune.report.page;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_faces_that_are_not_there_are_told_before_anything_slow_loads(tmp_path):
    code = (
        "import sys, tune.run_search as command\n"
        "from utkface.io import UserError\n"
        f"try: command.main(['--space', 'quick', '--results', {str(tmp_path)!r}])\n"
        "except UserError as error: assert 'no such data: nowhere' in str(error)\n"
        "sys.exit(any(name in sys.modules for name in ('ray', 'torch')))"
    )
    command, named = [sys.executable, "-c", code], {**os.environ, "UTKFACE_DATA": "nowhere"}
    assert subprocess.run(command, cwd=ROOT, env=named, check=False).returncode == 0


def test_a_search_that_is_not_there_is_told_before_anything_slow_loads(tmp_path):
    code = (
        "import sys, tune.retrain_best as command\n"
        "from utkface.io import UserError\n"
        f"try: command.main(['--results', {str(tmp_path)!r}])\n"
        "except UserError as error: assert 'no search of yours' in str(error)\n"
        "sys.exit(any(name in sys.modules for name in ('ray', 'torch', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
