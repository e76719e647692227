"""The video classes of ``comfy_api``, from ``builtin.video``, which is imported on first use."""

from enum import StrEnum
from typing import Any

from ....missing import MissingApi, reject_dunder

_VIDEO_CLASS_NAMES = ("VideoComponents", "VideoFromComponents", "VideoFromFile")


def get_video_class(name: str) -> Any:
    """Return the video class of this name; None for other names."""
    if name not in _VIDEO_CLASS_NAMES:
        return None
    from .....builtin import video

    return getattr(video, name)


class VideoClassLookup(type):
    """A class whose attributes are the video classes, and a ``MissingApi`` for every other name."""

    def __getattr__(cls, name: str) -> Any:
        return get_video_class(name) or MissingApi(f"comfy_api.latest.{cls.__name__}.{reject_dunder(cls.__name__, name)}")


class _VideoInputMeta(type):
    """Makes every object with the methods of a video an instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        return all(hasattr(instance, method) for method in ("get_components", "save_to", "get_dimensions"))


class VideoInput(metaclass=_VideoInputMeta):
    """A base class for videos of packs: everything is derived from ``get_components``, which holds all frames in memory."""

    def get_bit_depth(self) -> int:
        return 8

    def get_active_trim_window(self) -> tuple[float, float]:
        return (0.0, 0.0)

    def get_color_space(self) -> str:
        return "auto"

    def has_pending_frame_edits(self) -> bool:
        return False

    def get_display_dimensions(self) -> tuple[int, int]:
        me: Any = self
        return me.get_dimensions()


def _derive_method(name: str) -> Any:
    def call(self: Any, *values: Any, **options: Any) -> Any:
        return getattr(get_video_class("VideoFromComponents")(self.get_components()), name)(*values, **options)

    return call


for _name in (
    *("get_dimensions", "get_frame_rate", "get_frame_count", "get_duration", "get_container_format", "get_stream_source"),
    *("as_trimmed", "as_cropped", "as_resized", "save_to"),
):
    setattr(VideoInput, _name, _derive_method(_name))


class VideoCodec(StrEnum):
    AUTO = "auto"
    H264 = "h264"
    AV1 = "av1"

    @classmethod
    def as_input(cls) -> list[str]:
        return [one.value for one in cls]


class VideoContainer(StrEnum):
    AUTO = "auto"
    MP4 = "mp4"
    MKV = "mkv"
    WEBM = "webm"

    @classmethod
    def as_input(cls) -> list[str]:
        return [one.value for one in cls]

    @classmethod
    def get_extension(cls, value: str) -> str:
        """Return the file suffix without its dot."""
        return "mp4" if cls(value) is cls.AUTO else cls(value).value
