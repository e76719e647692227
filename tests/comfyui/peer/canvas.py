"""ComfyUI's own frontend in a headless Chromium.

Playwright's blocking interface keeps an event loop running in its thread, and then nobody else's ``asyncio.run`` works
there; so the browser lives in a thread of its own.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .server import ComfyUI, Json, PromptRejected

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Playwright

Result = TypeVar("Result")

PLAYWRIGHT = "playwright>=1.50"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The page asks for nothing outside this machine, whatever the frontend would like to know.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
WITHIN = 60_000.0  # milliseconds for one step of the page on a busy machine
WINDOW = (1600, 1000)
CLIPBOARD = ["clipboard-read", "clipboard-write"]
EMPTY_PLACE = (250, 880)  # where tests put nothing


def chromium() -> str | None:
    """The browser to drive: UPSCALE8K_CHROMIUM, or the first Chromium or Chrome on PATH."""
    names = (os.environ.get("UPSCALE8K_CHROMIUM") or "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def browser_problem() -> str | None:
    """Why there is no canvas here, as one sentence; None when there can be one."""
    if find_spec("playwright") is None:
        return "The Python package playwright is not installed. Get it with: python tests/comfyui/obtain.py"
    if chromium() is None:
        return "No Chromium is on PATH (Debian: apt-get install chromium; or name one in UPSCALE8K_CHROMIUM)."
    return None


class Browser:
    """A Chromium process and the only thread that may speak to it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chromium")
        self._playwright: Playwright
        self._chromium: Chromium
        self.do(self._launch)

    def do(self, step: Callable[[], Result]) -> Result:
        """Run ``step`` in the browser's thread and return what it returns."""
        return self._thread.submit(step).result()

    def _launch(self) -> None:
        self._playwright = import_module("playwright.sync_api").sync_playwright().start()
        try:
            self._chromium = self._playwright.chromium.launch(executable_path=chromium(), headless=True, args=list(FLAGS))
        except Exception:
            self._playwright.stop()
            raise

    def context(self) -> BrowserContext:
        """A profile with nothing remembered, in the browser's thread."""
        context = self._chromium.new_context(
            viewport={"width": WINDOW[0], "height": WINDOW[1]}, accept_downloads=True, permissions=CLIPBOARD
        )
        context.set_default_timeout(WITHIN)
        context.add_init_script(path=Path(__file__).with_name("canvas.js"))
        return context

    def close(self) -> None:
        def end() -> None:
            self._chromium.close()
            self._playwright.stop()

        self.do(end)
        self._thread.shutdown()


class Canvas:
    """One page with the frontend, empty at first. Node ids are the canvas's own numbers."""

    def __init__(self, browser: Browser, server: ComfyUI) -> None:
        self._browser, self._server = browser, server
        self._page: Page
        self._page_errors: list[str] = []
        self._console: list[str] = []
        browser.do(self._open)

    def _open(self) -> None:
        self._page = self._browser.context().new_page()
        self._page.on("pageerror", lambda error: self._page_errors.append(f"page error: {error}"))
        self._page.on("console", self._listen)
        self._page.goto(self._server.url)
        self._page.wait_for_function("window.app?.extensionManager && peer.ready()")
        self._page.evaluate("peer.command('Comfy.NewBlankWorkflow')")

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self._console.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _ask(self, call: str, value: object = None) -> Any:
        return self._browser.do(lambda: self._page.evaluate(f"(value) => {call}", value))

    def _await(self, condition: str, value: object = None) -> None:
        self._browser.do(lambda: self._page.wait_for_function(f"(value) => {condition}", arg=value))

    def close(self) -> None:
        self._browser.do(self._page.context.close)

    def refresh(self) -> None:
        """Ask the server again what its nodes offer, as key R does: files that came after the page was opened."""
        self._ask("peer.command('Comfy.RefreshNodeDefinitions')")

    def load(self, workflow: Json) -> None:
        """Open a workflow in the form that a file holds it."""
        self._ask("peer.load(value)", workflow)
        self._await("peer.settled()")

    def drop(self, file: Path) -> None:
        """Drop a file on the canvas and wait for the workflow that it carries. Raises AssertionError when none opens."""
        before = self._ask("peer.opened()")
        mime = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        content = base64.b64encode(file.read_bytes()).decode()
        self._ask("peer.drop(value)", {"name": file.name, "type": mime, "base64": content})
        self._await("peer.opened() !== value || peer.errors().length", before)
        self._await("peer.settled()")
        assert self._ask("peer.opened()") != before, f"{file.name} opened no workflow: {self.errors()}"

    def save(self, path: Path | None = None) -> Json:
        """The workflow as the menu's Export writes it, and the file itself under ``path``."""

        def export() -> bytes:
            with self._page.expect_download() as download:
                self._page.evaluate("peer.command('Comfy.ExportWorkflow')")
            return Path(download.value.path()).read_bytes()

        written = self._browser.do(export)
        if path:
            path.write_bytes(written)
        return json.loads(written)

    def to_prompt(self) -> Json:
        """The API format that Run would send."""
        return self._ask("peer.prompt()")

    def add(self, node_type: str, values: Json | None = None, **looks: object) -> int:
        """Add a node and set its widgets by name; ``looks``: title, pos, size, color, bgcolor. Returns its id.

        A widget that does not exist, or a choice that is not offered, is an error.
        """
        return self._ask("peer.add(value)", {"type": node_type, "values": values or {}} | looks)

    def set(self, node: int, values: Json) -> None:
        """Set widgets of a node by name, as a person would."""
        self._ask("peer.set(...value)", [node, values])

    def connect(self, origin: int, output: str | int, target: int, input: str | int) -> None:
        """Draw a wire between two slots, each by its name or number."""
        self._ask("peer.connect(...value)", [origin, output, target, input])

    def group(self, title: str, bounding: tuple[float, float, float, float], color: str | None = None) -> None:
        """Draw a frame around an area: x, y, width, height."""
        self._ask("peer.group(value)", {"title": title, "bounding": list(bounding), "color": color})

    def move(self, node: int, x: float, y: float) -> None:
        """Put the upper left corner of a node's title bar there."""
        self._ask("peer.move(...value)", [node, x, y])

    def boxes(self) -> list[Json]:
        """What each node covers: ``id``, ``type`` and ``box`` (x, y, width, height with its title bar)."""
        return self._ask("peer.boxes()")

    def queue(self) -> Json:
        """Run what is on the canvas and return its history entry. Raises as ``ComfyUI.queue`` does."""
        entry = self._server.wait(self.press_run())
        self._await("peer.idle()")
        return entry

    def press_run(self) -> str:
        """Send what is on the canvas and return the prompt's id. Raises ``PromptRejected``."""

        def press() -> Json:
            with self._page.expect_response(lambda answer: answer.url.endswith("/api/prompt")) as answer:
                self._page.evaluate("peer.command('Comfy.QueuePrompt')")
            return answer.value.json()

        answer = self._browser.do(press)
        if "error" in answer:
            raise PromptRejected(answer)
        return answer["prompt_id"]

    def press_stop(self) -> None:
        """Cancel what runs."""
        self._ask("peer.command('Comfy.Interrupt')")

    def progress(self) -> list[Json]:
        """Wait for a bar on a node, and return them all: ``node_id``, ``value`` and ``max`` of each."""
        self._await("peer.progress().length")
        return self._ask("peer.progress()")

    def errors(self) -> list[str]:
        """Everything that the page holds against the workflow: dialogs, messages, missing nodes, models and files, node
        errors, and JavaScript that failed."""
        return [*self._ask("peer.errors()"), *self._page_errors]

    def console(self) -> list[str]:
        """The warnings and errors on the page's console so far, with the address of the script that wrote each."""
        return list(self._console)

    def search(self, alias: str, title: str) -> int:
        """Add a node as a person does: double-click on the canvas, type, Enter, click. Returns its id.

        Its title must be among what ``alias`` finds, and the first of what it finds itself; else this waits in vain.
        """
        before = set(self._ask("peer.nodes()"))

        def choose() -> None:
            words = self._page.locator("input[role=combobox]")
            while not words.is_visible():  # a page that has just opened misses the first clicks
                self._ready_for_clicks()
                self._page.mouse.dblclick(*EMPTY_PLACE)
                self._page.evaluate("peer.drawn()")
            words.fill(alias)
            self._page.wait_for_function("(title) => peer.results().includes(title)", arg=title)
            words.fill(title)
            self._page.wait_for_function("(title) => peer.results()[0] === title", arg=title)
            words.press("Enter")
            words.wait_for(state="hidden")
            self._page.wait_for_function("(before) => peer.nodes().length > before", arg=len(before))
            self._page.mouse.click(*EMPTY_PLACE)  # it hangs on the mouse until then

        self._browser.do(choose)
        (added,) = set(self._ask("peer.nodes()")) - before
        return added

    def _ready_for_clicks(self) -> None:
        """Nothing lies over the canvas at the empty place, and the canvas has drawn what is there."""
        self._page.wait_for_function("(place) => document.elementFromPoint(...place) === app.canvasEl", arg=EMPTY_PLACE)
        self._page.evaluate("peer.drawn()")

    def choose_from_menu(self, entry: str) -> None:
        """Click with the right button on the empty canvas, then on an entry."""

        def choose() -> None:
            self._ready_for_clicks()
            self._page.mouse.click(*EMPTY_PLACE, button="right")
            self._page.get_by_text(entry, exact=True).click()

        self._browser.do(choose)

    def clipboard(self) -> str:
        """The text on the clipboard, once there is some."""

        def read() -> str:
            for _ in range(300):  # wait_for_function would take the promise itself for an answer
                if text := self._page.evaluate("navigator.clipboard.readText()"):
                    return text
                self._page.wait_for_timeout(100)
            raise AssertionError("Nothing was put on the clipboard within 30 s.")

        return self._browser.do(read)

    def settle(self) -> None:
        """Let the page load what nodes show and draw it, which is when some of them grow."""
        self._await("peer.settled()")
        self._ask("peer.drawn()")

    def fit(self) -> None:
        """Bring the whole graph into view."""
        self._ask("peer.fit()")

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the window."""
        self.settle()
        self._browser.do(lambda: self._page.screenshot(path=path))
