"""HTTP routes for the scripts on the canvas: the headless command, Tune, the list of models, and the download of one.

Only files of the catalog are downloaded, on request, and each is checked by its hash. Requests are accepted from pages of this
server, where it serves only this machine or its owner allowed downloads: see ``_get_refusal_reason``.
"""

# ComfyUI's modules exist only inside ComfyUI and carry no types.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...runtime.errors import Cancelled, ModelError, OutputError, Upscale8KError
from ...runtime.host import MAX_PIXELS, copy_samples
from ...runtime.models import CatalogEntry, list_models, load_catalog
from ...runtime.paths import PACK_ROOT
from ...runtime.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...runtime.host import Host

ALLOW_DOWNLOADS_ENV = "UPSCALE8K_ALLOW_DOWNLOADS"
"""1 allows downloads on a server that other machines can reach, 0 forbids them everywhere."""
DOWNLOAD_MESSAGE = "upscale8k.download"
"""Name of the message with the progress of a download."""
DOWNLOAD_MESSAGE_INTERVAL = 0.25  # seconds
FORBIDDEN, CONFLICT, BAD_REQUEST = 403, 409, 400


COMMAND_ROUTE = "/upscale8k/command"


def register_routes(host: Host) -> None:
    """Add the routes to the running server, once; do nothing without a server, as in a test."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is not None and all(route.path != COMMAND_ROUTE for route in server.routes):
        Routes(host, server).add_to_server()


class Routes:
    """The routes of one server."""

    def __init__(self, host: Host, server: Any) -> None:
        self._host = host
        self._server = server
        self._downloads: dict[str, ModelDownload] = {}

    def add_to_server(self) -> None:
        routes = self._server.routes
        routes.get(COMMAND_ROUTE)(self.get_command)
        routes.post("/upscale8k/samples")(self.copy_samples)
        routes.post("/upscale8k/tune")(self.tune)
        routes.get("/upscale8k/models")(self.list_models)
        routes.post("/upscale8k/models/download")(self.start_download)
        routes.post("/upscale8k/models/stop")(self.stop_download)

    async def get_command(self, request: Any) -> Any:
        """Return the shell command that runs the workflow ``file``, which the page saved among the user's files."""
        file = self._server.user_manager.get_request_user_filepath(request, request.query.get("file", ""), create_dir=False)
        if not file or not Path(file).is_file():
            return _json_response({"error": "There is no such workflow file."}, BAD_REQUEST)
        packs = [folder for name in request.query.getall("pack", []) if (folder := _find_pack_folder(name))]
        return _json_response({"command": build_command_line(self._host, Path(file), packs)})

    async def copy_samples(self, request: Any) -> Any:
        """Copy the samples of the shipped workflows that the input folder lacks; existing files stay as they are."""
        if not _is_same_origin(request):
            return _json_response({"error": "Only a page of this server may request samples."}, FORBIDDEN)
        try:
            copied = await asyncio.to_thread(copy_samples, self._host.folder("input"))
        except OutputError as error:
            return _json_response({"error": str(error)}, BAD_REQUEST)
        return _json_response({"copied": copied})

    async def tune(self, request: Any) -> Any:
        """Examine a file of the input folder; return the values for the widgets of each type of node, and the reasons."""
        from ...runtime.tune import list_widget_values

        if not _is_same_origin(request):
            return _json_response({"error": "Only a page of this server may examine a file."}, FORBIDDEN)
        content = await _read_json_object(request)
        try:
            path = self._host.find_input(str(content.get("file", "")))
            values, reasons = await asyncio.to_thread(
                list_widget_values, path, self._host.get_max_input_pixels(MAX_PIXELS), self._host.model_folders()
            )
        except (Upscale8KError, OSError, ValueError) as error:
            return _json_response({"error": str(error)}, BAD_REQUEST)
        return _json_response({"values": values, "reasons": reasons})

    async def list_models(self, request: Any) -> Any:
        """Return installed and available models, and why this page may not download them, if so."""
        rows = [
            {
                "id": row.id,
                "title": row.title,
                "scale": row.entry.scale,
                "bytes": row.bytes,
                "licence": row.licence,
                "good_for": row.good_for,
                "here": row.path is not None,
                "source": urlsplit(row.entry.urls[0]).hostname,
            }
            for row in await asyncio.to_thread(list_models, self._host.model_folders())
            if row.entry
        ]
        return _json_response(
            {"models": rows, "folder": str(self._get_models_folder() or ""), "refusal": _get_refusal_reason(request)}
        )

    async def start_download(self, request: Any) -> Any:
        """Download one model of the catalog and respond when it is complete or failed."""
        if reason := _get_refusal_reason(request):
            return _json_response({"error": reason}, FORBIDDEN)
        content = await _read_json_object(request)
        entry = load_catalog().get(str(content.get("id")))
        folder = self._get_models_folder()
        if entry is None or folder is None:
            return _json_response({"error": "The catalog has no such model, or there is no folder for models."}, BAD_REQUEST)
        if entry.id in self._downloads:
            return _json_response({"error": f"{entry.id} is being downloaded already."}, CONFLICT)
        return await self._run_download(entry, folder, str(content.get("client_id", "")))

    async def _run_download(self, entry: CatalogEntry, folder: Path, client_id: str) -> Any:
        def send_progress(received: int, total: int | None) -> None:
            self._server.send_sync(DOWNLOAD_MESSAGE, {"id": entry.id, "here": received, "total": total}, client_id or None)

        download = self._downloads[entry.id] = ModelDownload(send_progress)
        try:
            downloaded_model = await asyncio.to_thread(download.run, entry, folder)
        except Cancelled:
            return _json_response({"stopped": True})
        except (ModelError, OutputError) as error:
            return _json_response({"error": str(error)}, BAD_REQUEST)
        finally:
            del self._downloads[entry.id]
        return _json_response({"path": str(downloaded_model.path), "warning": downloaded_model.warning})

    async def stop_download(self, request: Any) -> Any:
        """Stop a download; received data stays, and the next download resumes from it."""
        if reason := _get_refusal_reason(request):
            return _json_response({"error": reason}, FORBIDDEN)
        content = await _read_json_object(request)
        download = self._downloads.get(str(content.get("id")))
        if download:
            download.stop_requested = True
        return _json_response({"stopped": download is not None})

    def _get_models_folder(self) -> Path | None:
        return next(iter(self._host.model_folders()), None)


class ModelDownload(SilentProgress):
    """One download, and its progress: ``on_progress`` gets the received and total bytes a few times a second."""

    def __init__(self, on_progress: Callable[[int, int | None], None]) -> None:
        self.stop_requested = False
        self._on_progress = on_progress
        self._received, self._total = 0, 0
        self._next_message = 0.0

    def run(self, entry: CatalogEntry, folder: Path) -> Any:
        from ...runtime.models import pull_model

        return pull_model(entry, folder, self.open)

    def open(self, total: int, unit: str) -> ModelDownload:
        self._received, self._total = 0, total
        return self

    def check_cancelled(self) -> None:
        if self.stop_requested:
            raise Cancelled("The download was stopped.")

    def advance(self, steps: int = 1) -> None:
        self.check_cancelled()
        self._received += steps
        now = time.monotonic()
        if now >= self._next_message:
            self._on_progress(self._received, self._total or None)
            self._next_message = now + DOWNLOAD_MESSAGE_INTERVAL


def build_command_line(host: Host, workflow: Path, packs: Sequence[Path] = (), *, windows: bool = os.name == "nt") -> str:
    """Return a shell command that gives the same pixels as Run on the canvas: same folders, same device."""
    args = [sys.executable, "-m", "runtime", "run", str(workflow)]
    args += ["--input-dir", str(host.folder("input")), "--output-dir", str(host.folder("output"))]
    for folder in host.model_folders():
        args += ["--models-dir", str(folder)]
    for folder in packs:
        args += ["--nodes", str(folder)]
    args += ["--device", host.device()]
    if windows:
        return f'cd /d "{PACK_ROOT}" && {subprocess.list2cmdline(args)}'
    return f"cd {shlex.quote(str(PACK_ROOT))} && {shlex.join(args)}"


def _find_pack_folder(module: str) -> Path | None:
    """Return the folder of the pack whose nodes have the module ``custom_nodes.NAME``; None for ours and unknown ones."""
    import folder_paths

    name = module.removeprefix("custom_nodes.")
    if not name or name != Path(name).name or name == "..":
        return None
    candidates = [Path(folder) / name for folder in folder_paths.get_folder_paths("custom_nodes")]
    found = next((place for place in candidates if os.path.exists(place)), None)  # noqa: PTH110 (Path raises for long names)
    return found if found and found.resolve() != PACK_ROOT else None


def _get_refusal_reason(request: Any) -> str:
    """Return why this page may not download a model; empty when it may."""
    from comfy.cli_args import args
    from server import is_loopback

    allowed = os.environ.get(ALLOW_DOWNLOADS_ENV, "")
    manual_hint = "Run this where the server is: python -m runtime models pull NAME"
    if allowed == "0":
        return f"Downloads are switched off ({ALLOW_DOWNLOADS_ENV}=0). {manual_hint}"
    if allowed != "1" and not all(is_loopback(address.strip()) for address in args.listen.split(",")):
        return f"Other machines can reach this server: downloads need {ALLOW_DOWNLOADS_ENV}=1 set by its owner. {manual_hint}"
    if allowed != "1" and not _is_this_machine(request.host):  # a name of another site that leads here (DNS rebinding)
        return f"This page was opened under another name than localhost: downloads need {ALLOW_DOWNLOADS_ENV}=1. {manual_hint}"
    if request.method == "POST":
        if not _is_same_origin(request):
            return "Only a page of this server may request a download."
        if request.content_type != "application/json":
            return "A download must be requested as JSON."
    return ""


def _is_this_machine(host: str) -> bool:
    """Whether the ``Host`` of a request is an address or name that no other site can have."""
    with suppress(ValueError):
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    return False


def _is_same_origin(request: Any) -> bool:
    return urlsplit(request.headers.get("Origin", "")).netloc.casefold() == request.host.casefold()


async def _read_json_object(request: Any) -> dict[str, Any]:
    """Return the JSON object of the request; empty where it is none."""
    try:
        content = await request.json()
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _json_response(content: dict[str, Any], status: int = 200) -> Any:
    from aiohttp import web

    return web.json_response(content, status=status)
