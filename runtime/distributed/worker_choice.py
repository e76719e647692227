"""``--workers``, and the input ``workers`` of the nodes that write, as a value. Imports nothing heavy, for the checks."""

import re
from dataclasses import dataclass

from ..errors import WorkflowError

WORKERS_HELP = (
    "a number of processes on this machine, gpus for one process per NVIDIA GPU, or ray:local, ray:auto or ray:HOST:PORT for "
    "a Ray cluster"
)
SHARE_HELP = (
    "With --workers ray:...: a folder that all machines see, or FOLDER=THERE where it has another path on the nodes; a machine "
    "that does not see it is refused. Without: machines that do not see source or result get and send bytes."
)
IN_ORDER = "order"
"""What the host of a worker says instead."""
_MAX_PROCESSES = 256
_SHARE = " share="


@dataclass(frozen=True)
class WorkerChoice:
    """Who makes the segments of a video."""

    processes: int = 0
    """On this machine; 0 for another choice."""
    ray_address: str = ""
    """``local``, ``auto`` or ``HOST:PORT``."""
    shares: tuple[tuple[str, str], ...] = ()
    """Folders that nodes of the cluster see: their path here, and on the nodes."""

    @property
    def is_gpus(self) -> bool:
        return not self.processes and not self.ray_address


def parse_workers(text: str) -> WorkerChoice | None:
    """Return the choice; None for "", ``0`` and ``1``: this process. Raises ``WorkflowError`` for anything else.

    A Ray cluster may be followed by ``share=FOLDER`` or ``share=FOLDER=THERE``, as ``join_share`` writes it.
    """
    text, *folders = text.split(_SHARE)
    text = text.strip().lower()
    found = re.fullmatch(r"ray:(local|auto|[\w.-]+:\d{1,5})", text)
    if folders and not found:
        what = f"share={folders[0]} is for a Ray cluster, and the workers are {text!r}."
        raise WorkflowError(what, "Use it with ray:auto or ray:HOST:PORT.", input_name="workers")
    if text == "gpus":
        return WorkerChoice()
    if re.fullmatch(r"\d{0,4}", text) and int(text or 0) <= _MAX_PROCESSES:
        return WorkerChoice(int(text)) if int(text or 0) > 1 else None
    if found:
        return WorkerChoice(ray_address=found[1], shares=tuple(map(_parse_share, folders)))
    raise WorkflowError(f"Unknown workers {text!r}.", f"Use {WORKERS_HELP}.", input_name="workers")


def join_share(workers: str, folder: str) -> str:
    """Return ``--workers`` and ``--share`` as one text."""
    return f"{workers}{_SHARE}{folder}" if folder else workers


def _parse_share(text: str) -> tuple[str, str]:
    here, _, there = text.strip().partition("=")
    if not here:
        raise WorkflowError("share= names no folder.", "Name one, such as share=/mnt/videos.", input_name="workers")
    return here, there or here
