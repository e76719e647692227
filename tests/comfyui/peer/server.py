"""One ComfyUI server process with folders of its own, asked over HTTP."""

import json
import mimetypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

Json = dict[str, Any]

STARTS_WITHIN = 240.0  # seconds; about 15 on two idle cores
# What a person has clicked away by the second day, so that a page opens on the canvas and keeps nothing for the next.
SETTINGS: Json = {
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "1.47.12",
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.PromptFilename": False,
    "Comfy.Workflow.Persist": False,
    "Comfy.Locale": "en",
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
}

_NOTHING: Json = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 1, "height": 1, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
_LOOPBACK = build_opener(ProxyHandler({}))


class PromptRejected(Exception):
    """The server did not queue a prompt. ``node_errors`` is its answer, by node id."""

    def __init__(self, answer: Json) -> None:
        self.error: Json = answer.get("error", {})
        self.node_errors: dict[str, Json] = answer.get("node_errors") or {}
        super().__init__(json.dumps(answer, indent=1))


class NodeFailed(Exception):
    """A queued prompt ended with an error. ``entry`` is its history entry."""

    def __init__(self, entry: Json) -> None:
        self.entry = entry
        failed = next((said for event, said in entry["status"]["messages"] if event == "execution_error"), None)
        text = "{node_type} (node {node_id}): {exception_type}: {exception_message}{}"
        super().__init__(text.format("".join(failed["traceback"]), **failed) if failed else json.dumps(entry["status"]))


class ComfyUI:
    """A running server. ``input``, ``output``, ``models`` and ``custom_nodes`` are its own folders under ``base``.

    Args:
        tree: ComfyUI's checkout.
        base: an empty folder that the server may fill.
        pack: a folder to link into custom_nodes/, and the name it gets there.
        frontend: static files of another frontend than the installed one.
    """

    def __init__(
        self, tree: Path, base: Path, *, pack: Path | None = None, pack_name: str = "", frontend: Path | None = None
    ) -> None:
        self._frontend = frontend
        self.tree, self.base, self.pack_name = tree, base, pack_name
        self.input, self.output, self.models = base / "input", base / "output", base / "models"
        self.custom_nodes = base / "custom_nodes"
        for folder in (self.input, self.output, self.models, self.custom_nodes, base / "temp"):
            folder.mkdir(parents=True)
        if pack:
            (self.custom_nodes / pack_name).symlink_to(pack, target_is_directory=True)
        settings = base / "user" / "default" / "comfy.settings.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
        self._log = base / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Start the process and return when it answers. Raises RuntimeError with the log when it does not."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "main.py", "--cpu", "--disable-auto-launch", "--disable-api-nodes"]
        command += ["--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(self.base)]
        command += ["--database-url", "sqlite:///:memory:"]
        command += ["--front-end-root", str(self._frontend)] if self._frontend else []
        # A checkout on PYTHONPATH would answer to ComfyUI's own top-level name `nodes`.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if (own := self.tree / ".packages").is_dir():  # what this version pins, unpacked by obtain.py
            environment["PYTHONPATH"] = str(own)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.tree,
                env=environment | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"ComfyUI ended with status {self._process.returncode} while starting:\n{self.log()[-4000:]}"
                )
            try:
                self._ask("/system_stats")
            except (URLError, ConnectionError, TimeoutError):
                time.sleep(0.25)
            else:
                return
        raise RuntimeError(f"ComfyUI did not answer within {STARTS_WITHIN:.0f} s:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """End the process and everything that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        # The second signal is for what the process itself may have left behind in its group.
        for way in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, way)
                process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        process.wait()

    def log(self) -> str:
        """What the server has printed, without colors."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(encoding="utf-8", errors="replace"))

    def startup_log(self) -> str:
        """The part of the log before the server answered: imports and node packs."""
        return self.log().partition("Starting server")[0]

    def object_info(self) -> dict[str, Json]:
        """Every node that the server knows, by class id."""
        return self._ask_json("/object_info")

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """The bytes of a file in the server's output, input or temp folder."""
        return self._ask("/view?" + urlencode({"filename": filename, "subfolder": subfolder, "type": type}))

    def queue(self, prompt: Json, extra_data: Json | None = None, *, timeout: float = 300) -> Json:
        """Run a prompt in API format and return its history entry.

        Raises ``PromptRejected`` when validation refuses it, ``NodeFailed`` when a node does.
        """
        return self.wait(self.submit(prompt, extra_data), timeout=timeout)

    def submit(self, prompt: Json, extra_data: Json | None = None) -> str:
        """Put a prompt into the queue and return its id. Raises ``PromptRejected``."""
        body = {"prompt": prompt, "client_id": uuid.uuid4().hex, "extra_data": extra_data or {}}
        try:
            return self._ask_json("/prompt", body)["prompt_id"]
        except HTTPError as error:
            with error:
                raise PromptRejected(json.loads(error.read())) from None

    def wait(self, prompt_id: str, *, timeout: float = 300) -> Json:
        """The history entry of a queued prompt, when it is done. Raises ``NodeFailed`` or TimeoutError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            entry = self._ask_json(f"/history/{prompt_id}").get(prompt_id)
            if entry is None:
                time.sleep(0.1)
            elif entry["status"]["status_str"] == "success":
                return entry
            else:
                raise NodeFailed(entry)
        raise TimeoutError(f"ComfyUI did not finish prompt {prompt_id} within {timeout:.0f} s:\n{self.log()[-2000:]}")

    def take_samples(self, folder: Path) -> None:
        """Copy the images and videos of a folder into input/."""
        for file in folder.iterdir():
            kind, _ = mimetypes.guess_type(file.name)
            if kind and kind.startswith(("image/", "video/")):
                shutil.copy(file, self.input)

    def forget(self) -> None:
        """Be as after a start: input/ and output/ empty, no results cached, no model held."""
        for folder in (self.input, self.output):
            shutil.rmtree(folder)
            folder.mkdir()
        self._ask("/free", {"free_memory": True, "unload_models": True})
        # The worker frees when it wakes or after the prompt it has just run, so behind a second prompt it has.
        for _ in range(2):
            self.queue(_NOTHING)

    def _ask(self, path: str, body: Json | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"})
        with _LOOPBACK.open(request, timeout=60) as answer:
            return answer.read()

    def _ask_json(self, path: str, body: Json | None = None) -> Json:
        return json.loads(self._ask(path, body))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
