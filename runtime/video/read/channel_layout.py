"""Read channel layouts and decode audio. PyAV 18 frees the map of a channel order that is not FFmpeg's own twice.

That ends the process. So a layout object of such an order is never freed here (about 100 bytes each), and its audio continues
in FFmpeg's own order. ``codec_context.channels`` reads the layout as well: use the functions of this module.
"""

from __future__ import annotations

import ctypes
from typing import Any

import av
from av.packet import Packet

from ...media import Pixels

_CUSTOM_ORDER_MARKS = (" channels (", "ambisonic")
"""In FFmpeg's names of layouts that are not its own: ``8 channels (FL+FR+FC+LFE+SL+SR+BL+BR)``."""
_NATIVE_LAYOUTS = (
    "stereo",
    "3.0",
    "quad",
    "quad(side)",
    "4.0",
    "5.0",
    "5.0(side)",
    "5.1",
    "5.1(side)",
    "6.1",
    "7.0",
    "7.1",
    "7.1(wide)",
)
_increase_reference_count = ctypes.pythonapi.Py_IncRef
_increase_reference_count.argtypes = [ctypes.py_object]


def has_custom_order(layout: av.AudioLayout) -> bool:
    return any(mark in layout.name for mark in _CUSTOM_ORDER_MARKS)


def read_channel_layout(holder: Any) -> av.AudioLayout:
    """Return the layout of an audio codec context or frame."""
    layout: av.AudioLayout = holder.layout
    if has_custom_order(layout):
        _increase_reference_count(layout)
    return layout


def decode_audio(packet: Packet[Any]) -> list[av.AudioFrame]:
    """Return the audio of a packet, its channels in an order of FFmpeg's. Raises what ``Packet.decode`` does."""
    return [_reorder_channels(frame) for frame in packet.decode() if isinstance(frame, av.AudioFrame)]


def to_channels(frame: av.AudioFrame) -> Pixels:
    """Return the samples as (C, N). PyAV 18 reads beyond the planes of planar frames of eight channels, so they are packed."""
    if frame.format.is_planar:
        frame = av.AudioResampler(format=frame.format.packed.name).resample(frame)[0]
    channel_count = read_channel_layout(frame).nb_channels
    return frame.to_ndarray().reshape(-1, channel_count).T


def _reorder_channels(frame: av.AudioFrame) -> av.AudioFrame:
    layout = read_channel_layout(frame)
    if not has_custom_order(layout):
        return frame
    names, channels = [channel.name for channel in layout.channels], to_channels(frame)
    layouts = {name: [channel.name for channel in av.AudioLayout(name).channels] for name in _NATIVE_LAYOUTS}
    native = next((name for name, order in layouts.items() if sorted(order) == sorted(names)), f"{len(names)} channels")
    if native in layouts:
        channels = channels[[names.index(name) for name in layouts[native]]]
    packed = channels.T.reshape(1, -1).copy()
    reordered = av.AudioFrame.from_ndarray(packed, format=frame.format.packed.name, layout=native)
    reordered.sample_rate, reordered.pts, reordered.time_base = frame.sample_rate, frame.pts, frame.time_base
    return reordered
