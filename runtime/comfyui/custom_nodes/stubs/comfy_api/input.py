"""``comfy_api.input``: the wire types, under an older name."""

from typing import Any

from . import latest

ImageInput = MaskInput = AudioInput = LatentInput = Any
VideoInput = latest.VideoInput


def __getattr__(name: str) -> Any:
    return getattr(latest, name)
