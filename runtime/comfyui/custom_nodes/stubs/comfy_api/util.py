"""``comfy_api.util``: what is chosen when a film is saved, under an older name."""

from __future__ import annotations

from typing import Any

from . import latest

VideoCodec, VideoContainer = latest.VideoCodec, latest.VideoContainer


def __getattr__(name: str) -> Any:
    return getattr(latest, name)
