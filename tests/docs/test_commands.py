"""What README and docs/ tell people to type, follow and open exists."""

import argparse
import ast
import contextlib
import importlib.util
import io
import itertools
import re
import runpy
import shlex
import sys
from pathlib import Path
from unittest import mock

import pytest

from tune.spaces.file import list_spaces
from tune.spaces.space import load_space

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN_MODULES = ("tune", "utkface", "search_spaces")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r'\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"')
#: Folders of the repository whose files may be named; results/ has placeholders in it.
_FILE = re.compile(r"(?:tune|utkface|search_spaces|tests|docs)/[\w./-]*")


def fences(page, *languages):
    """Return the fenced blocks of a page in some languages."""
    text = page.read_text(encoding="utf-8")
    return [block for language, block in _FENCE.findall(text) if language in languages]


def prose(page):
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def shell_lines(page):
    """Return the commands of a page's shell blocks and code spans, as lists of words."""
    blocks = fences(page, "", "bash", "sh", "console")
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += [span for span in _SPAN.findall(prose(page)) if span.startswith(("uv ", "python "))]
    return [words for line in lines if "…" not in line and (words := split(line))]


def split(line):
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a drawing, a sentence with an apostrophe
        return []


def own_command(words):
    """Return a program of this project with its arguments, or None where none is called."""
    if "python" not in words:
        return None
    command = words[words.index("python") + 1 :]
    if command[:1] == ["-m"]:
        return command if command[1].split(".")[0] in OWN_MODULES else None
    return command if command and command[0].endswith(".py") else None


def own_commands(page):
    commands = [command for words in shell_lines(page) if (command := own_command(words))]
    return list(dict.fromkeys(map(shlex.join, commands)))


def links(page):
    """Return where the links and pictures of a page lead, except elsewhere on the web."""
    targets = {a or b for a, b in _LINK.findall(prose(page))}
    return sorted(target for target in targets if "://" not in target)


def named_files(page):
    """Return the files of the repository that are named in code spans and commands."""
    words = [word for line in shell_lines(page) for word in line]
    names = {*words, *_SPAN.findall(prose(page))}
    return sorted(name for name in names if _FILE.fullmatch(name))


def option_names(page):
    """Return the options that code spans in the prose begin with."""
    spans = (span.split()[0] for span in _SPAN.findall(prose(page)) if span.startswith("--"))
    return sorted(set(spans))


def anchor(heading):
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.fixture(scope="module")
def answers():
    """What the programs say to every command with arguments, by its text."""
    lines = {line for page in PAGES for line in own_commands(page) if has_arguments(line)}
    assert len(lines) >= 40, "the pages' commands are no longer found"
    return {line: ask(line) for line in lines}


class Parsed(BaseException):
    """Raised in place of running a program whose arguments were parsed."""


def ask(line):
    """Return what argparse says to a command ("" for nothing), and the program's options."""
    words, said, modules = shlex.split(line), io.StringIO(), set(sys.modules)
    parser_class, parse_args = argparse.ArgumentParser, argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, args=None, namespace=None):
        parsed = Parsed(sorted(parser._option_string_actions))
        parse_args(parser, args, namespace)
        raise parsed

    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stderr(said))
        stack.enter_context(mock.patch.object(parser_class, "parse_args", parse_and_stop))
        stack.enter_context(mock.patch.dict("os.environ"))
        stack.enter_context(mock.patch.object(sys, "path", [*sys.path]))
        is_module = words[0] == "-m"
        stack.enter_context(mock.patch.object(sys, "argv", words[1:] if is_module else words))
        try:
            if is_module:
                runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            else:
                script = ROOT / words[0]
                sys.path.insert(0, str(script.parent))
                runpy.run_path(str(script), run_name="__main__")
        except Parsed as parsed:
            return {"error": "", "options": parsed.args[0]}
        except SystemExit:
            return {"error": said.getvalue() or "it ended without parsing anything", "options": []}
        finally:  # a benchmark's neighbours have names that others have too
            for name in set(sys.modules) - modules:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(f"{ROOT}/tests"):
                    del sys.modules[name]
    return {"error": "it parses no arguments", "options": []}


def has_arguments(line):
    words = shlex.split(line)
    return len(words) > (2 if words[0] == "-m" else 1)


of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@of_each_page
def test_programs_take_the_options_that_a_page_gives_them(answers, page):
    for line in own_commands(page):
        words = shlex.split(line)
        there = importlib.util.find_spec(words[1]) if words[0] == "-m" else ROOT / words[0]
        assert there, line
        assert not isinstance(there, Path) or there.is_file(), line
        assert not has_arguments(line) or answers[line]["error"] == "", line
        for flag, value in itertools.pairwise(words):
            assert flag != "--space" or value in [*list_spaces(), "my_space.py", "NAME"], line


@of_each_page
def test_options_that_the_prose_names_belong_to_a_program(answers, page):
    known = {name for answer in answers.values() for name in answer["options"]}
    assert [name for name in option_names(page) if name not in known] == []


def test_a_command_that_a_program_does_not_take_is_found():
    wrong = ["tune/run_search.py --num-trails 3", "tune/run_search.py --scheduler sha"]
    errors = [ask(line)["error"] for line in wrong]
    assert "--num-trails" in errors[0]
    assert "'sha'" in errors[1]


@of_each_page
def test_links_lead_to_files_and_to_headings(page):
    for target in links(page):
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings), target


@of_each_page
def test_files_that_a_page_names_are_there(page):
    assert [name for name in named_files(page) if not (ROOT / name).exists()] == []


@of_each_page
def test_python_in_a_page_is_sound(tmp_path, page):
    for code in fences(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in OWN_MODULES:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), code
        if "def suggest(trial)" in code:
            (tmp_path / "my_space.py").write_text(code, encoding="utf-8")
            assert load_space(tmp_path / "my_space.py").question in code


def test_the_spaces_that_a_page_lists_are_all_that_there_are():
    table = re.compile(r"^\| `(\w+)` \| (.+\?) \|$", re.MULTILINE)
    assert dict(table.findall(prose(ROOT / "docs" / "searching.md"))) == list_spaces()


def test_every_page_can_be_reached_from_readme():
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(ROOT / "README.md")}
    assert linked >= set(PAGES) - {ROOT / "README.md"}


def test_readme_has_the_command_that_ci_looks_for():
    assert "pip install uv && uv run pytest" in (ROOT / "README.md").read_text().splitlines()
