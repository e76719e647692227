"""``server``: there is none. What packs tell a browser is told to nobody; what they ask of one is absent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..missing import MissingApi, make_missing_getattr, reject_dunder

__getattr__ = make_missing_getattr("server")

Handler = TypeVar("Handler", bound=Callable[..., Any])


class BinaryEventTypes:
    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3


class _Routes:
    """Takes the web routes that packs declare while they are imported; nobody calls them."""

    def _accept_route(self, path: str, **_: Any) -> Callable[[Handler], Handler]:
        return lambda handler: handler

    get = post = put = patch = delete = head = options = view = route = static = _accept_route


class _Application:
    """Takes what packs add to the web application."""

    def __init__(self) -> None:
        self.router = _Router()
        self.frozen = True

    def add_routes(self, *_: Any) -> None:
        """Nobody calls them."""

    def __getattr__(self, name: str) -> MissingApi:
        return MissingApi(f"server.PromptServer.app.{reject_dunder('app', name)}")


class _Router:
    frozen = True
    """No further routes can be added, so packs that ask do not try."""

    def add_static(self, *_: Any, **__: Any) -> None:
        """Nobody asks for the files."""

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
        """Nobody listens."""

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        """Nobody listens."""

    async def send(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Nobody listens."""

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Kept, not called: a handler changes prompts that a browser posts, and none does."""
        self.on_prompt_handlers.append(handler)

    def __getattr__(self, name: str) -> MissingApi:
        return MissingApi(f"server.PromptServer.instance.{reject_dunder('PromptServer', name)}")


PromptServer.instance = PromptServer()
