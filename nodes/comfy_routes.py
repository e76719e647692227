"""What the scripts on the canvas ask of the server: the headless command, what models there are, and the download of one.

Nothing is downloaded unasked, and nothing but files of the catalog, each checked by its hash. Who may ask is said in
``_refusal``: a page of this very server, where the server is for this machine alone or its owner allowed it.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..runtime.errors import Cancelled, ModelError, OutputError
from ..runtime.models.catalog import CatalogEntry, catalog
from ..runtime.models.listing import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..runtime.host import Host

ROOT = Path(__file__).resolve().parent.parent
ALLOW = "UPSCALE8K_ALLOW_DOWNLOADS"
"""1 lets the pages of a server that others can reach download models, 0 forbids it everywhere."""
PROGRESS = "upscale8k.download"
"""The message that tells a page how far a download is."""
BETWEEN_MESSAGES = 0.25  # seconds
FORBIDDEN, CONFLICT, BAD = 403, 409, 400


COMMAND = "/upscale8k/command"


def register(host: Host) -> None:
    """Add the routes to the running server, once. Without one, as in a test, there is nobody to answer."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is not None and all(route.path != COMMAND for route in server.routes):
        Routes(host, server).add()


class Routes:
    """The answers, for one server."""

    def __init__(self, host: Host, server: Any) -> None:
        self._host = host
        self._server = server
        self._downloads: dict[str, Download] = {}

    def add(self) -> None:
        routes = self._server.routes
        routes.get(COMMAND)(self.command)
        routes.get("/upscale8k/models")(self.models)
        routes.post("/upscale8k/models/download")(self.download)
        routes.post("/upscale8k/models/stop")(self.stop)

    async def command(self, request: Any) -> Any:
        """The line for a shell that runs the workflow ``file``, which the page has put among the user's files."""
        file = self._server.user_manager.get_request_user_filepath(request, request.query.get("file", ""), create_dir=False)
        if not file or not Path(file).is_file():
            return _answer({"error": "There is no such workflow file."}, BAD)
        packs = [folder for name in request.query.getall("pack", []) if (folder := _pack_folder(name))]
        return _answer({"command": command_line(self._host, Path(file), packs)})

    async def models(self, request: Any) -> Any:
        """What is here and what could be had, and why this page may not download it, if so."""
        rows = [
            {
                "id": row.id,
                "title": row.title,
                "bytes": row.bytes,
                "licence": row.licence,
                "good_for": row.good_for,
                "here": row.path is not None,
                "source": urlsplit(row.entry.urls[0]).hostname,
            }
            for row in await asyncio.to_thread(listing, self._host.model_folders())
            if row.entry
        ]
        return _answer({"models": rows, "folder": str(self._folder() or ""), "refusal": _refusal(request)})

    async def download(self, request: Any) -> Any:
        """Download one model of the catalog, and answer when it is there or cannot be."""
        if reason := _refusal(request):
            return _answer({"error": reason}, FORBIDDEN)
        wanted = await _asked(request)
        entry = catalog().get(str(wanted.get("id")))
        folder = self._folder()
        if entry is None or folder is None:
            return _answer({"error": "There is no such model in the catalog, or no folder for models."}, BAD)
        if entry.id in self._downloads:
            return _answer({"error": f"{entry.id} is being downloaded already."}, CONFLICT)
        return await self._downloaded(entry, folder, str(wanted.get("client_id", "")))

    async def _downloaded(self, entry: CatalogEntry, folder: Path, page: str) -> Any:
        def tell(here: int, total: int | None) -> None:
            self._server.send_sync(PROGRESS, {"id": entry.id, "here": here, "total": total}, page or None)

        download = self._downloads[entry.id] = Download(tell)
        try:
            pulled = await asyncio.to_thread(download.run, entry, folder)
        except Cancelled:
            return _answer({"stopped": True})
        except (ModelError, OutputError) as error:
            return _answer({"error": str(error)}, BAD)
        finally:
            del self._downloads[entry.id]
        return _answer({"path": str(pulled.path), "warning": pulled.warning})

    async def stop(self, request: Any) -> Any:
        """End a download; what came stays, and the next one goes on from it."""
        if reason := _refusal(request):
            return _answer({"error": reason}, FORBIDDEN)
        wanted = await _asked(request)
        download = self._downloads.get(str(wanted.get("id")))
        if download:
            download.stopped = True
        return _answer({"stopped": download is not None})

    def _folder(self) -> Path | None:
        return next(iter(self._host.model_folders()), None)


class Download:
    """One download, told of to the page a few times a second."""

    def __init__(self, tell: Callable[[int, int | None], None]) -> None:
        self.stopped = False
        self._tell = tell
        self._next = 0.0

    def run(self, entry: CatalogEntry, folder: Path) -> Any:
        from ..runtime.models.pull import pull

        return pull(entry, folder, self._progress)

    def _progress(self, here: int, total: int | None) -> None:
        if self.stopped:
            raise Cancelled("The download was stopped.")
        now = time.monotonic()
        if now >= self._next:
            self._tell(here, total)
            self._next = now + BETWEEN_MESSAGES


def command_line(host: Host, workflow: Path, packs: Sequence[Path] = (), *, windows: bool = os.name == "nt") -> str:
    """What gives, in a shell on this machine, the pixels that Run on the canvas gives: same folders, same device."""
    words = [sys.executable, "-m", "runtime", "run", str(workflow)]
    words += ["--input-dir", str(host.folder("input")), "--output-dir", str(host.folder("output"))]
    for folder in host.model_folders():
        words += ["--models-dir", str(folder)]
    for folder in packs:
        words += ["--nodes", str(folder)]
    words += ["--device", host.device()]
    if windows:
        return f'cd /d "{ROOT}" && {subprocess.list2cmdline(words)}'
    return f"cd {shlex.quote(str(ROOT))} && {shlex.join(words)}"


def _pack_folder(module: str) -> Path | None:
    """Where ComfyUI found the pack that says ``custom_nodes.NAME`` of its nodes; None for ours and for none."""
    import folder_paths

    name = module.removeprefix("custom_nodes.")
    if not name or name != Path(name).name or name == "..":
        return None
    places = [Path(folder) / name for folder in folder_paths.get_folder_paths("custom_nodes")]
    found = next((place for place in places if place.exists()), None)
    return found if found and found.resolve() != ROOT else None


def _refusal(request: Any) -> str:
    """Why this page may not have a model downloaded, as a sentence; empty when it may."""
    from comfy.cli_args import args
    from server import is_loopback

    allowed = os.environ.get(ALLOW, "")
    by_hand = "Run this where the server is: python -m runtime models pull NAME"
    if allowed == "0":
        return f"Downloads are switched off ({ALLOW}=0). {by_hand}"
    if allowed != "1" and not all(is_loopback(address.strip()) for address in args.listen.split(",")):
        return f"This server can be reached by others, so nothing is downloaded unless its owner sets {ALLOW}=1. {by_hand}"
    if request.method == "POST":
        if urlsplit(request.headers.get("Origin", "")).netloc.casefold() != request.host.casefold():
            return "Only a page of this server may ask for a download."
        if request.content_type != "application/json":
            return "A download is asked for as JSON."
    return ""


async def _asked(request: Any) -> dict[str, Any]:
    """What the page sent; nothing where that is no JSON object."""
    try:
        content = await request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _answer(content: dict[str, Any], status: int = 200) -> Any:
    from aiohttp import web

    return web.json_response(content, status=status)
