import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings

#: The tests run in as many processes as there are cores; threads would wait for each other.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
#: Ray's workers step back for everything else, which beside busy tests is for minutes.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.pop("UV", None)  # under `uv run`, commands are printed in another way (utkface.io)
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
VOID_TAGS = {"meta", "link", "br", "hr", "img", "input"}
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Leave out what only a power failure would need; commands of their own keep it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", lambda descriptor: None)
    yield
    patch.undo()


def pytest_configure(config):
    """Keep what the tests decode out of the user's cache, unless one was named for them."""
    # Property tests assert no times, and CI tries what this machine tries.
    settings.register_profile("here", deadline=None, derandomize=True)
    settings.load_profile("here")
    if "UTKFACE_CACHE" not in os.environ:
        os.environ["UTKFACE_CACHE"] = tempfile.mkdtemp(prefix="utkface-tests-")
        folder = os.environ["UTKFACE_CACHE"]
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let PyTorch have two threads, where the tests otherwise give it one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


Undrawn = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def undrawn() -> Undrawn:
    """Return a context in which figures are made but not drawn, which takes longest."""

    def save(figure: Any, file: Any, **options: Any) -> None:
        file.write('<svg viewBox="0 0 9 9"></svg>')

    return lambda: mock.patch("matplotlib.figure.Figure.savefig", save)


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed, by its own kind and in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, *names: str) -> list[str]:
        return [value for name, value in self.attributes if name in names]

    @property
    def labels(self) -> list[str]:
        return self.values("aria-label")

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def read() -> Callable[[Path], Page]:
    """Return what reads a page."""
    return lambda path: Page(path.read_text(encoding="utf-8"))


@dataclass
class Look:
    """What a page showed at all widths and in all colours."""

    problems: list[str] = field(default_factory=list)  # whatever a reader cannot see or read
    figures: list[list[str]] = field(default_factory=list)  # labels of those drawn, per view


@pytest.fixture(scope="module")  # no longer: while it is there, its event loop runs in this thread
def chromium() -> Iterator[Any]:
    """A headless Chromium of the system, through Playwright."""
    executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(CHROMIUMS)} (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def look_at(chromium: Any) -> Callable[[Path], Look]:
    """Open a file as a phone and a desktop would, in light and in dark, and read it."""
    read_page = (Path(__file__).parent / "read_page.js").read_text(encoding="utf-8")

    def look(path: Path) -> Look:
        seen = Look()
        for size in (PHONE, DESKTOP):
            context = chromium.new_context(viewport=size, is_mobile=size is PHONE)
            page, heard = _open(context, path)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                found = page.evaluate(read_page, size["width"])
                view = f"{size['width']} px, {scheme}: "
                seen.problems += [view + problem for problem in found["problems"]]
                seen.figures.append(found["figures"])
            seen.problems += heard()
            context.close()
        return seen

    return look


def _open(context: Any, path: Path) -> tuple[Any, Callable[[], list[str]]]:
    """Open a page; return it, and what tells all that went wrong in it so far."""
    page = context.new_page()
    heard: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())

    def all_heard() -> list[str]:
        asked = [url for url in requests[1:] if not url.startswith("data:")]
        return heard + [f"asks for {url}" for url in asked]

    return page, all_heard
