"""The video classes of ``comfy_api``, from ``builtin.video``, which is imported on first use."""

from enum import StrEnum
from fractions import Fraction
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

    def _load_components(self) -> Any:
        me: Any = self
        return get_video_class("VideoFromComponents")(me.get_components())

    def get_dimensions(self) -> tuple[int, int]:
        """Return (width, height) in pixels."""
        return self._load_components().get_dimensions()

    def get_frame_rate(self) -> Fraction:
        return self._load_components().get_frame_rate()

    def get_frame_count(self) -> int:
        return self._load_components().get_frame_count()

    def get_duration(self) -> float:
        """Return the duration in seconds."""
        return self._load_components().get_duration()

    def get_bit_depth(self) -> int:
        return 8

    def get_active_trim_window(self) -> tuple[float, float]:
        return (0.0, 0.0)

    def get_color_space(self) -> str:
        return "auto"

    def has_pending_frame_edits(self) -> bool:
        return False

    def get_display_dimensions(self) -> tuple[int, int]:
        return self.get_dimensions()

    def as_cropped(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> Any:
        return self._load_components().as_cropped(x, y, width, height)

    def as_resized(self, width: int, height: int, upscale_method: str, crop: str = "disabled", post_crop: Any = None) -> Any:
        return self._load_components().as_resized(width, height, upscale_method, crop, post_crop)

    def get_container_format(self) -> str:
        return self._load_components().get_container_format()

    def get_stream_source(self) -> Any:
        return self._load_components().get_stream_source()

    def save_to(self, path: Any, *args: Any, **options: Any) -> None:
        self._load_components().save_to(path, *args, **options)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> Any:
        return self._load_components().as_trimmed(start_time, duration, strict_duration)


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
