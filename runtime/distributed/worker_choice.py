"""``--workers``, and the input ``workers`` of Video Out, as a value. Imports nothing heavy, for the checks of a workflow."""

import re
from dataclasses import dataclass

from ..errors import WorkflowError

WORKERS_HELP = (
    "a number of processes on this machine, gpus for one process per NVIDIA GPU, or ray:local, ray:auto or ray:HOST:PORT for "
    "a Ray cluster"
)
IN_ORDER = "order"
"""What the host of a worker says instead."""
_MAX_PROCESSES = 256


@dataclass(frozen=True)
class WorkerChoice:
    """Who makes the segments of a video."""

    processes: int = 0
    """On this machine; 0 for another choice."""
    ray_address: str = ""
    """``local``, ``auto`` or ``HOST:PORT``."""

    @property
    def is_gpus(self) -> bool:
        return not self.processes and not self.ray_address


def parse_workers(text: str) -> WorkerChoice | None:
    """Return the choice; None for "", ``0`` and ``1``: this process. Raises ``WorkflowError`` for anything else."""
    text = text.strip().lower()
    if text == "gpus":
        return WorkerChoice()
    if re.fullmatch(r"\d{0,4}", text) and int(text or 0) <= _MAX_PROCESSES:
        return WorkerChoice(int(text)) if int(text or 0) > 1 else None
    if found := re.fullmatch(r"ray:(local|auto|[\w.-]+:\d{1,5})", text):
        return WorkerChoice(ray_address=found[1])
    raise WorkflowError(f"Unknown workers {text!r}.", f"Use {WORKERS_HELP}.", input_name="workers")
