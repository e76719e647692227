"""How a node writes its video or image sequence: in this process, by workers, or as a worker."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..errors import WorkflowError
from ..hardware import memory_budget, query_memory
from ..host import LocalHost
from ..video import write_sequence, write_video
from .collector import OpenPool
from .driver import SharedEncode
from .order import Order
from .processes import list_cpu_slots, list_gpu_slots, open_process_pool
from .ray_cluster.cluster import import_ray
from .ray_cluster.ray_pool import open_ray_pool
from .shared_sequence import SharedSequence
from .worker import WorkerHost
from .worker_choice import WorkerChoice, parse_workers

if TYPE_CHECKING:
    from ..host import Host


_CLUSTER_WORKERS = 8
"""For how many workers items are cut where their number is known later."""


def open_writer(host: Host, workers: str, prompt: Mapping[str, Any] | None, node_id: str) -> Callable[..., Any]:
    """Return what is called as ``write_video``. ``host.workers()`` takes precedence over ``workers``, the node's input.

    Raises ``WorkflowError`` for unknown workers, or a node that is not in ``prompt``, which workers run; ``HardwareMissing``
    without the GPUs that were asked for.
    """
    if isinstance(host, WorkerHost):
        return host.write_items
    choice = parse_workers(host.workers() or workers)
    if choice is None:
        return write_video
    template, open_pool, count = _share(host, choice, prompt, node_id)
    own = None
    if choice.processes:  # this one is the first of them, and begins at once
        own, *others = list_cpu_slots(choice.processes)
        open_pool = partial(open_process_pool, others, are_needed=False)
    return partial(write_video, encode=SharedEncode(template, open_pool, count, own))


def open_sequence_writer(
    host: Host, workers: str, prompt: Mapping[str, Any] | None, node_id: str, extra_pnginfo: Mapping[str, Any] | None
) -> Callable[..., Any]:
    """Return what is called as ``write_sequence``. Takes and raises what ``open_writer`` does."""
    if isinstance(host, WorkerHost):
        return host.write_images
    choice = parse_workers(host.workers() or workers)
    if choice is None:
        return write_sequence
    template, open_pool, count = _share(host, choice, prompt, node_id)
    template = replace(template, extra_pnginfo=extra_pnginfo)
    return partial(write_sequence, write_missing=SharedSequence(template, open_pool, count))


def _share(host: Host, choice: WorkerChoice, prompt: Mapping[str, Any] | None, node_id: str) -> tuple[Order, OpenPool, int]:
    """Return the order without settings and items, what starts its workers, and for how many items are cut."""
    if prompt is None or node_id not in prompt:
        what = "This result cannot be shared out: its node was made while the workflow ran."
        raise WorkflowError(what, "Run it without workers.", node_id=node_id, input_name="workers")
    open_pool, slot_count = choose_pool(choice)
    return (
        make_template(cast("LocalHost", host), prompt, node_id, max(slot_count, 1)),
        open_pool,
        slot_count or _CLUSTER_WORKERS,
    )


def choose_pool(choice: WorkerChoice) -> tuple[OpenPool, int]:
    """Return what starts the workers, and how many are on this machine. Raises ``HardwareMissing`` without Ray or a GPU."""
    if choice.ray_address:
        import_ray()
        return partial(open_ray_pool, choice.ray_address, choice.shares), 0
    slots = list_gpu_slots() if choice.is_gpus else list_cpu_slots(choice.processes)
    return partial(open_process_pool, slots), len(slots)


def make_template(host: LocalHost, prompt: Mapping[str, Any], node_id: str, processes: int) -> Order:
    """Return an order for ``node_id`` without settings and items."""
    device = host.device()
    return Order(
        id="",
        version="",
        prompt=prompt,
        node_id=node_id,
        settings={},
        items=(),
        input_dir=str(host.folder("input").absolute()),
        output_dir=str(host.folder("output").absolute()),
        shipped_inputs=tuple(str(folder.absolute()) for folder in host.shipped_inputs),
        models_dirs=tuple(str(folder.absolute()) for folder in host.model_folders()),
        packs=tuple(str(folder.absolute()) for folder in host.packs),
        device="cuda" if device.startswith("cuda:") else device,  # a worker sees its own GPU only
        backend=host.backend(),
        max_pixels=host.max_pixels,
        tile_memory=divide_tile_memory(processes),
        timeout=read_timeout(),
    )


def divide_tile_memory(processes: int) -> int:
    """Return the bytes that tiles may take in each of so many processes of this machine on a CPU."""
    memory = query_memory()
    return memory_budget(memory.available // processes, memory.total, on_gpu=False)


def read_timeout() -> float:
    """Return the seconds without a sign of life after which a worker's item is given to another.

    Raises ``WorkflowError`` where ``UPSCALE8K_WORKER_TIMEOUT`` holds no such number.
    """
    text = os.environ.get("UPSCALE8K_WORKER_TIMEOUT") or "60"
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise WorkflowError(f"UPSCALE8K_WORKER_TIMEOUT is {text!r}.", "Set it to seconds, such as 60, or unset it.")
