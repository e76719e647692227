"""``server``: without a server, messages to the browser are dropped and everything else is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..missing import MissingApi, reject_dunder

Handler = TypeVar("Handler", bound=Callable[..., Any])


class BinaryEventTypes:
    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3


class _Routes:
    """Accepts the web routes that packs declare while they are imported; they are never called."""

    def _accept_route(self, path: str, **_: Any) -> Callable[[Handler], Handler]:
        return lambda handler: handler

    get = post = put = patch = delete = head = options = view = route = static = _accept_route


class _Application:
    """Accepts what packs add to the web application."""

    def __init__(self) -> None:
        self.router = _Router()
        self.frozen = True

    def add_routes(self, *_: Any) -> None:
        """Do nothing: routes are never called."""

    def __getattr__(self, name: str) -> MissingApi:
        return MissingApi(f"server.PromptServer.app.{reject_dunder('app', name)}")


class _Router:
    frozen = True
    """No further routes can be added; packs check this."""

    def add_static(self, *_: Any, **__: Any) -> None:
        """Do nothing: files are never served."""

    add_route = add_get = add_post = add_static


class PromptServer:
    instance: PromptServer

    def __init__(self) -> None:
        self.routes = _Routes()
        self.app = _Application()
        self.client_id: str | None = None
        self.last_node_id: str | None = None
        self.last_prompt_id: str | None = None
        self.on_prompt_handlers: list[Callable[[Any], Any]] = []
        self.supports: list[str] = []
        self.sockets: dict[str, Any] = {}

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Do nothing: no browser is connected."""

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        """Do nothing: no browser is connected."""

    async def send(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Do nothing: no browser is connected."""

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Store a handler, which is never called: it would change prompts posted by a browser."""
        self.on_prompt_handlers.append(handler)

    def __getattr__(self, name: str) -> MissingApi:
        return MissingApi(f"server.PromptServer.instance.{reject_dunder('PromptServer', name)}")


PromptServer.instance = PromptServer()
