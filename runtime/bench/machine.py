"""The machine that a figure was measured on: in one line, and in full."""

from __future__ import annotations

from typing import Any

from ..hardware.gpu import Gpu
from ..hardware.machine import Machine, look


def machine(device: str = "auto") -> tuple[str, dict[str, Any]]:
    """What ran the work on ``device``, as a line for a table's foot and as plain values. Raises ``HardwareMissing`` as
    ``Machine.gpu`` does.
    """
    found = look(ask_torch=True)
    facts = {name: value for name, value in found.as_json().items() if name != "disks"}
    return _line(found, found.gpu(device)), facts


def _line(found: Machine, gpu: Gpu | None) -> str:
    cpu = f"{found.cpu.model}, {found.cpu.cores} cores"
    torch = f"torch {found.versions.get('torch', '?')}"
    return ", ".join([f"{gpu.name}, {cpu}" if gpu else cpu, found.system, torch])
