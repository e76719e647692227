"""``comfy_api.latest``: V3 declarations (``io``), what nodes display (``ui``), and progress."""

from typing import Any

from ......graph import current_call
from ....missing import MissingApi, make_missing_getattr
from ...comfy.utils import ProgressBar
from . import io, ui
from .video import VideoClassLookup, VideoCodec, VideoContainer, VideoInput, get_video_class

IO, UI = io, ui
ImageInput = MaskInput = AudioInput = LatentInput = Any
Caching = MissingApi("comfy_api.latest.Caching")

__all__ = ["IO", "UI", "Caching", "ComfyAPI", "ComfyAPISync", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]

_get_missing = make_missing_getattr("comfy_api.latest")


def __getattr__(name: str) -> Any:
    return get_video_class(name) or _get_missing(name)


class Input:
    """The wire types, for annotations."""

    Image = Mask = Audio = Latent = Any
    Video = VideoInput


class InputImpl(metaclass=VideoClassLookup):
    """``VideoFromFile`` and ``VideoFromComponents``: videos from a file or from images in memory."""


class Types(metaclass=VideoClassLookup):
    """``VideoComponents``, and the codecs and containers of videos."""

    VideoCodec = VideoCodec
    VideoContainer = VideoContainer


class ComfyExtension:
    """What ``comfy_entrypoint`` of a V3 pack returns."""

    async def on_load(self) -> None:
        """Do nothing; packs may override it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return []


class _ProgressBars:
    """One progress display per node that reports by value."""

    def __init__(self) -> None:
        self._bars: dict[str, ProgressBar] = {}

    def show_progress(self, value: float, max_value: float, node_id: str | None) -> None:
        call = current_call.get()
        node_id = node_id or (call.node_id if call else None)
        if node_id is None:
            raise ValueError("set_progress was called outside of a node, without a node_id")
        bar = self._bars.setdefault(node_id, ProgressBar(max_value))
        bar.update_absolute(value, max_value)
        if value >= max_value:
            del self._bars[node_id]


_PROGRESS_BARS = _ProgressBars()


class _NodeReplacement:
    async def register(self, node_replace: Any) -> None:
        """Do nothing: workflows are converted before packs are loaded, and a replaced class is reported as missing."""


class _Execution:
    async def set_progress(self, value: float, max_value: float, node_id: str | None = None, **_: Any) -> None:
        """Display the progress of the current node, without previews."""
        _PROGRESS_BARS.show_progress(value, max_value, node_id)


class _ExecutionSync:
    def set_progress(self, value: float, max_value: float, node_id: str | None = None, **_: Any) -> None:
        """Display the progress of the current node, without previews."""
        _PROGRESS_BARS.show_progress(value, max_value, node_id)


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
