"""``comfy_api.latest``: V3 declarations (``io``), what nodes show (``ui``), and progress."""

from __future__ import annotations

from typing import Any

from .....graph.calls import current_call
from ....absent import Absent, absent_attributes
from ...comfy.utils import ProgressBar
from . import io, ui
from .video import OfTheEngine, VideoCodec, VideoContainer, VideoInput, film_class

IO, UI = io, ui
ImageInput = MaskInput = AudioInput = LatentInput = Any
Caching = Absent("comfy_api.latest.Caching")

__all__ = ["IO", "UI", "Caching", "ComfyAPI", "ComfyAPISync", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]

_absent = absent_attributes("comfy_api.latest")


def __getattr__(name: str) -> Any:
    return film_class(name) or _absent(name)


class Input:
    """What stands on the wires, for annotations."""

    Image = Mask = Audio = Latent = Any
    Video = VideoInput


class InputImpl(metaclass=OfTheEngine):
    """``VideoFromFile`` and ``VideoFromComponents``: films, of a file or of pictures in memory."""


class Types(metaclass=OfTheEngine):
    """``VideoComponents``, and what is chosen when a film is saved."""

    VideoCodec = VideoCodec
    VideoContainer = VideoContainer


class ComfyExtension:
    """What ``comfy_entrypoint`` of a V3 pack answers."""

    async def on_load(self) -> None:
        """For a pack to override."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return []


class _Bars:
    """One progress display for each node that reports by value."""

    def __init__(self) -> None:
        self._bars: dict[str, ProgressBar] = {}

    def show(self, value: float, max_value: float, node_id: str | None) -> None:
        call = current_call.get()
        node_id = node_id or (call.node_id if call else None)
        if node_id is None:
            raise ValueError("set_progress was called outside of a node, without a node_id")
        bar = self._bars.setdefault(node_id, ProgressBar(max_value))
        bar.update_absolute(value, max_value)
        if value >= max_value:
            del self._bars[node_id]


_BARS = _Bars()


class _NodeReplacement:
    async def register(self, node_replace: Any) -> None:
        """Workflows are converted before packs are asked; a class that was replaced is reported as missing."""


class _Execution:
    async def set_progress(self, value: float, max_value: float, node_id: str | None = None, **_: Any) -> None:
        """Show how far the current node is; previews are not shown."""
        _BARS.show(value, max_value, node_id)


class _ExecutionSync:
    def set_progress(self, value: float, max_value: float, node_id: str | None = None, **_: Any) -> None:
        """Show how far the current node is; previews are not shown."""
        _BARS.show(value, max_value, node_id)


class ComfyAPI:
    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _Execution()
        self.node_replacement = _NodeReplacement()


class ComfyAPISync:
    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _ExecutionSync()
