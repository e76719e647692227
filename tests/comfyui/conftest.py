"""The real ComfyUI as a peer. Nothing is downloaded here: ``python tests/comfyui/obtain.py`` does that.

Without it these tests are skipped and say so; with UPSCALE8K_REQUIRE_COMFYUI=1 they fail instead.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from .peer.canvas import Browser, Canvas, browser_problem
from .peer.server import ComfyUI
from .peer.tree import problem, tree

# A folder name that no import statement could say, as a person's clone may have.
PACK_NAME = "upscale8k-checkout"


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("UPSCALE8K_REQUIRE_COMFYUI") == "1":
        pytest.fail(f"UPSCALE8K_REQUIRE_COMFYUI=1, but: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def comfyui_server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    """One server for the whole session, with this checkout as its only custom node pack."""
    if reason := problem():
        _unavailable(reason)
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
        _unavailable(reason)
    browser = Browser()
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture
def canvas(browser: Browser, comfyui: ComfyUI) -> Iterator[Canvas]:
    """A fresh page with an empty graph."""
    canvas = Canvas(browser, comfyui)
    try:
        yield canvas
    finally:
        canvas.close()
