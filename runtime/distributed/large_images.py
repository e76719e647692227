"""Who upscales an image: this process, or workers a band each. Loads nothing heavy for the former."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .worker_choice import IN_ORDER, parse_workers

if TYPE_CHECKING:
    import torch

    from ..host import Host
    from ..models import Descriptor
    from ..upscale import TiledUpscaleSettings

MIN_SHARED_PIXELS = 1 << 20
"""Of the source: a smaller image is made while workers start."""
_FINISHED: list[Path] = []
_FILE_NAME = re.compile(r"image\.(npy|json)|\d{6}\.npz")


def upscale_images(
    host: Host,
    prompt: Mapping[str, Any] | None,
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
) -> torch.Tensor:
    """Upscale ``images`` (B, H, W, C) as ``upscale_batch`` does, one large image by workers.

    ``host.workers()`` takes precedence over the input ``workers`` of an Image Out that gets the result. Without such a node the
    image is made here, because it removes the file that a shared image is in meanwhile; and where several nodes upscale, as it
    cannot know which of them this is. Raises ``OutOfMemory`` for a result that does not fit into memory, and what
    ``upscale_batch`` and ``upscale_in_bands`` raise.
    """
    workers = host.workers()
    nodes = [name for name, node in (prompt or {}).items() if node.get("class_type") == "TiledUpscale"]
    if prompt is not None and len(nodes) == 1 and (outs := list(_find_image_outs(prompt, nodes[0]))):
        workers = workers or next(filter(None, outs), "")
        if workers == IN_ORDER or (parse_workers(workers) and images.shape[1] * images.shape[2] >= MIN_SHARED_PIXELS):
            from .image_bands import upscale_in_bands

            result = upscale_in_bands(host, workers, prompt, nodes[0], images, descriptor, settings, _FINISHED.append)
            if result is not None:
                return result
    from ..upscale import check_result_fits, upscale_batch

    check_result_fits(images.shape, descriptor, settings.target)
    return upscale_batch(images, descriptor, settings, host.progress, free_memory=host.free_memory)


def discard_finished_images() -> None:
    """Remove the files of shared images, after they are written: they can be read as long as they are open."""
    while _FINISHED:
        folder = _FINISHED.pop()
        with suppress(OSError):  # Windows does not remove an open file
            for path in folder.iterdir():
                if _FILE_NAME.fullmatch(path.name):
                    path.unlink()
            folder.rmdir()


def _find_image_outs(prompt: Mapping[str, Any], node_id: str) -> Iterator[str]:
    """Yield the input ``workers`` of every Image Out that depends on a node."""
    reached, added = {node_id}, True
    while added:
        users = {name for name, node in prompt.items() if reached & set(_list_links(node))}
        added = not users <= reached
        reached |= users
    for name in sorted(reached):
        if prompt.get(name, {}).get("class_type") == "ImageOut":
            workers: object = prompt[name]["inputs"].get("workers")
            yield workers if isinstance(workers, str) else ""


def _list_links(node: Mapping[str, Any]) -> Iterator[str]:
    for value in cast("Mapping[str, object]", node["inputs"]).values():
        if isinstance(value, list) and len(cast("list[object]", value)) == 2 and isinstance(value[0], str):
            yield value[0]
