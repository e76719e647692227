"""The file name suffixes of every kind of file, all lower case, and the pattern of an image sequence."""

import re
from collections.abc import Mapping
from pathlib import PurePath

WRITABLE_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".exr", ".jxl")
SEQUENCE_SUFFIXES = (*WRITABLE_IMAGE_SUFFIXES, ".bmp")
"""What the frames of an image sequence can be."""
IMAGE_SUFFIXES = (*SEQUENCE_SUFFIXES, ".gif")

MUXERS: Mapping[str, str] = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".webm": "webm"}
"""Suffix of a video that can be written -> FFmpeg's muxer."""
ANIMATION_SUFFIXES: Mapping[str, str] = {".gif": "gif", ".webp": "webp", ".apng": "apng", ".png": "apng"}
"""Suffix of an animated image that can be written -> its container."""
WRITABLE_VIDEO_SUFFIXES = (*MUXERS, *ANIMATION_SUFFIXES)
WORKFLOW_VIDEO_SUFFIXES = (*MUXERS, ".avi", ".m4v")
"""Videos whose tags can hold a workflow."""
VIDEO_SUFFIXES = (*WORKFLOW_VIDEO_SUFFIXES, ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv", ".apng")

WEIGHT_SUFFIXES = (".safetensors", ".sft", ".pth", ".pt", ".ckpt", ".bin")
"""``.bin`` is torch's or, beside a ``.param``, ncnn's."""

SEQUENCE_NUMBER = re.compile(r"%(?:0(\d+))?d(?!ay%)")
"""The frame number in a file name, as ``%d`` or ``%05d``; not the token ``%day%``. Group 1 is its number of digits."""


def is_sequence_pattern(name: str) -> bool:
    """Return whether a name stands for an image sequence: ``frame_%05d.png``."""
    return SEQUENCE_NUMBER.search(PurePath(name).name) is not None
