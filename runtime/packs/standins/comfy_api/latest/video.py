"""The films of ``comfy_api``. Their classes are those of the room ``video``, which is imported when one is asked for."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Any

from ....absent import Absent, plain

_FILMS = ("VideoComponents", "VideoFromComponents", "VideoFromFile")


def film_class(name: str) -> Any:
    """The class of this name; None when it is none of the three."""
    if name not in _FILMS:
        return None
    from .....video import like_comfyui

    return getattr(like_comfyui, name)


class OfTheEngine(type):
    """A class whose attributes are film classes, and absent otherwise."""

    def __getattr__(cls, name: str) -> Any:
        return film_class(name) or Absent(f"comfy_api.latest.{cls.__name__}.{plain(cls.__name__, name)}")


class _IsAFilm(type):
    """Every film is one, whoever made it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return all(hasattr(instance, method) for method in ("get_components", "save_to", "get_dimensions"))


class VideoInput(metaclass=_IsAFilm):
    """A base class for films of a pack's own: from ``get_components`` everything else follows, at the price of all frames."""

    def _in_memory(self) -> Any:
        me: Any = self
        return film_class("VideoFromComponents")(me.get_components())

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._in_memory().get_dimensions()

    def get_frame_rate(self) -> Fraction:
        return self._in_memory().get_frame_rate()

    def get_frame_count(self) -> int:
        return self._in_memory().get_frame_count()

    def get_duration(self) -> float:
        """Seconds."""
        return self._in_memory().get_duration()

    def get_bit_depth(self) -> int:
        return 8

    def get_active_trim_window(self) -> tuple[float, float]:
        return (0.0, 0.0)

    def get_container_format(self) -> str:
        return self._in_memory().get_container_format()

    def get_stream_source(self) -> Any:
        return self._in_memory().get_stream_source()

    def save_to(self, path: Any, *args: Any, **options: Any) -> None:
        self._in_memory().save_to(path, *args, **options)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> Any:
        return self._in_memory().as_trimmed(start_time, duration, strict_duration)


class VideoCodec(StrEnum):
    AUTO = "auto"
    H264 = "h264"

    @classmethod
    def as_input(cls) -> list[str]:
        return [one.value for one in cls]


class VideoContainer(StrEnum):
    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def as_input(cls) -> list[str]:
        return [one.value for one in cls]

    @classmethod
    def get_extension(cls, value: str) -> str:
        """The suffix of a file, without its dot."""
        return {cls.AUTO: "mp4", cls.MP4: "mp4"}[cls(value)]
