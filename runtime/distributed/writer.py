"""How a node writes its video: in this process, by workers, or as a worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..errors import WorkflowError
from ..hardware import memory_budget, query_memory
from ..host import LocalHost
from ..progress import OnMessage
from ..video import SegmentFolder, write_video
from .driver import SharedEncode, WorkerPool
from .order import Order
from .processes import list_cpu_slots, list_gpu_slots, open_process_pool
from .ray_cluster import import_ray, open_ray_pool
from .worker import WorkerHost
from .worker_choice import parse_workers

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
    if prompt is None or node_id not in prompt:
        what = "This video cannot be shared out: its node was made while the workflow ran."
        raise WorkflowError(what, "Run it without workers.", node_id=node_id, input_name="workers")
    if choice.ray_address:
        import_ray()
    slots = list_gpu_slots() if choice.is_gpus else list_cpu_slots(choice.processes)
    template = _make_template(cast("LocalHost", host), prompt, node_id, max(len(slots), 1))

    def open_pool(order: Order, folder: SegmentFolder, on_message: OnMessage) -> AbstractContextManager[WorkerPool]:
        if choice.ray_address:
            return open_ray_pool(order, folder, choice.ray_address, on_message)
        return open_process_pool(order, folder, slots, on_message)

    return partial(write_video, encode=SharedEncode(template, open_pool, len(slots) or _CLUSTER_WORKERS))


def _make_template(host: LocalHost, prompt: Mapping[str, Any], node_id: str, processes: int) -> Order:
    memory = query_memory()
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
        tile_memory=memory_budget(memory.available // processes, memory.total, on_gpu=False),
        timeout=float(os.environ.get("UPSCALE8K_WORKER_TIMEOUT") or 60),
    )
