"""``comfy_api.util``: codecs and containers of videos, under an older name."""

from typing import Any

from . import latest

VideoCodec, VideoContainer = latest.VideoCodec, latest.VideoContainer


def __getattr__(name: str) -> Any:
    return getattr(latest, name)
