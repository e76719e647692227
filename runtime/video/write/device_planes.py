"""Planes of a device on their way to the encoder: it reads them there where it can, else they are copied to host memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import av

from ...media import DeviceImage, PlaneLayout
from ...progress import OnMessage
from ..color.rgb_to_yuv import RgbToYuv
from .segments import SegmentPlan, configure_encoder


class DevicePlanes:
    """Chooses the way once a video, by encoding its first frame both ways; a message says which.

    The encoder may read from the device only if it returns the same packets, so a run that is interrupted and goes on the other
    way writes the same bytes.
    """

    def __init__(self, plan: SegmentPlan, rgb_to_yuv: RgbToYuv, on_message: OnMessage, *, may_lend: bool) -> None:
        self._plan, self._rgb_to_yuv, self._on_message = plan, rgb_to_yuv, on_message
        self._is_lending = None if may_lend and plan.encoding.encoder.takes_device_frames else False

    def pack(self, image: DeviceImage, layout: PlaneLayout) -> Callable[[], av.VideoFrame]:
        """Start to convert ``image``; the function returned waits, in the encoder's thread, and returns its frame."""
        if self._is_lending is None:
            self._is_lending = self._try_lending(image, layout)
        wait: Callable[[], Sequence[Any]] = (image.lend_planes if self._is_lending else image.download_planes)(layout)
        return lambda: self._rgb_to_yuv.wrap_planes(wait())

    def _try_lending(self, image: DeviceImage, layout: PlaneLayout) -> bool:
        with ThreadPoolExecutor(1) as thread:  # whose device is that of the planes from then on
            problem = thread.submit(self._find_problem, image.lend_planes(layout), image.download_planes(layout)).result()
        name = self._plan.encoding.encoder.name
        way = f"goes through host memory, because {problem}" if problem else "stays in the memory of the graphics card"
        self._on_message(f"What {name} encodes {way}.")
        return not problem

    def _find_problem(self, lend: Callable[[], Sequence[Any]], download: Callable[[], Sequence[Any]]) -> str:
        try:
            lent = self._encode(lend())
        except Exception as error:  # whatever PyAV, FFmpeg or the driver raises, the other way is left
            return f"the encoder does not take it from there ({str(error) or type(error).__name__})"
        return "" if lent == self._encode(download()) else "its packets would differ"

    def _encode(self, planes: Sequence[Any]) -> list[bytes]:
        """Return the packets of one frame, by the very encoder of the video."""
        frame, encoding = self._rgb_to_yuv.wrap_planes(planes), self._plan.encoding
        context: Any = av.CodecContext.create(encoding.encoder.name, "w")
        configure_encoder(context, self._plan)
        context.pix_fmt, context.options = frame.format.name, dict(encoding.options)
        frame.pts, frame.time_base = 0, self._plan.time_base
        return [bytes(packet) for given in (frame, None) for packet in context.encode(given)]
