"""Two fields to one full picture, by FFmpeg's bwdif (Weston 3-field with YADIF's checks)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
from av.error import BlockingIOError, EOFError
from av.filter import Graph


def full_pictures(pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """One picture for each that comes in, at its time. Those that are not marked as interlaced pass unchanged."""
    graph: Graph | None = None
    for picture in pictures:
        if graph is None:
            graph = _graph(picture)
        graph.vpush(picture)
        yield from _ready(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _ready(graph)


def _graph(picture: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base)
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    source.link_to(bwdif)
    bwdif.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _ready(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return
