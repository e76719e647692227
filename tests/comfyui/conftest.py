"""The real ComfyUI as a peer. Nothing is downloaded here: ``python tests/comfyui/obtain.py`` does that.

Without it these tests are skipped and say so; with UPSCALE8K_REQUIRE_COMFYUI=1 they fail instead.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .peer.canvas import Browser, Canvas, browser_problem
from .peer.server import ComfyUI
from .peer.tree import problem, skip_or_fail, tree

# A folder name that no import statement could say, as a person's clone may have.
PACK_NAME = "upscale8k-checkout"


@pytest.fixture(scope="session")
def comfyui_server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    """One server for the whole session, with this checkout as its only custom node pack."""
    if reason := problem():
        skip_or_fail(reason)
    server = ComfyUI(tree(), tmp_path_factory.mktemp("comfyui"), pack=root, pack_name=PACK_NAME)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def comfyui(comfyui_server: ComfyUI) -> ComfyUI:
    """The running server, with no files, cached results or models of the test before."""
    comfyui_server.forget()
    return comfyui_server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for the whole session."""
    if reason := browser_problem():
        skip_or_fail(reason)
    browser = Browser()
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def page(browser: Browser, comfyui_server: ComfyUI) -> Iterator[Canvas]:
    """One page for all tests of a module, one after the other, as a person leafs through."""
    canvas = Canvas(browser, comfyui_server)
    yield canvas
    canvas.close()


@pytest.fixture
def canvas(browser: Browser, comfyui: ComfyUI) -> Iterator[Canvas]:
    """A fresh page with an empty graph."""
    canvas = Canvas(browser, comfyui)
    try:
        yield canvas
    finally:
        canvas.close()
