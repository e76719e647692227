"""What ``--workers`` would offer: for ``doctor``, ``probe`` and HW Probe. Asks nothing where no workers are named."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import Upscale8KError
from .processes import list_cpu_slots, list_gpu_slots
from .ray_cluster.cluster import describe_cluster
from .worker_choice import parse_workers


def describe_workers(text: str) -> Iterator[tuple[str, bool]]:
    """Yield a sentence on each worker or node, and whether it can work. Raises ``WorkflowError`` for unknown workers only."""
    choice = parse_workers(text)
    if choice is None:
        return
    try:
        if choice.ray_address:
            yield from ((str(report), not report.refusal) for report in describe_cluster(choice.ray_address))
            return
        for slot in list_gpu_slots() if choice.is_gpus else list_cpu_slots(choice.processes):
            yield f"{slot.name}: cores {', '.join(map(str, slot.cores)) or 'of the machine'}.", True
    except Upscale8KError as error:
        yield str(error), False
