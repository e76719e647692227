"""Deinterlace frames with FFmpeg's bwdif (Weston 3-field with YADIF's checks)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
from av.error import BlockingIOError, EOFError
from av.filter import Graph


def deinterlace_frames(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield one frame for each input frame, at its time. Frames that are not marked as interlaced pass unchanged."""
    graph: Graph | None = None
    for frame in frames:
        if graph is None:
            graph = _build_graph(frame)
        graph.vpush(frame)
        yield from _pull_ready_frames(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pull_ready_frames(graph)


def _build_graph(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    source.link_to(bwdif)
    bwdif.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pull_ready_frames(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return
