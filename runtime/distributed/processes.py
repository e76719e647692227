"""Workers on this machine: a process each, with its share of the cores, or with a GPU of its own.

A worker ends when its standard input does, and so with the driver, however that dies.
"""

import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..errors import HardwareMissing, NodeError
from ..hardware import count_usable_cores, query_nvidia
from ..paths import PACK_ROOT, is_checkout
from ..progress import OnMessage
from ..video import WORK_NAME

_MAX_RESTARTS = 2
_END_SECONDS = 3.0


@dataclass
class WorkerSlot:
    """A place for a worker; a process that was killed is followed by another."""

    name: str
    cores: tuple[int, ...] = ()
    environment: dict[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0


def list_cpu_slots(count: int) -> list[WorkerSlot]:
    """Divide the cores of this process; with more workers than cores, several share one."""
    shares = _divide_cores(count)
    return [WorkerSlot(f"worker {number}", share) for number, share in enumerate(shares, 1)]


def list_gpu_slots() -> list[WorkerSlot]:
    """Return a slot for each NVIDIA GPU that this process may use. Raises ``HardwareMissing`` without one."""
    driver = query_nvidia()
    gpus = [gpu for gpu in driver.gpus if gpu.usable]
    if not gpus:
        reason = driver.problem or "This machine has no NVIDIA GPU."
        raise HardwareMissing(f"--workers gpus: {reason}", "Use --workers N for processes on the CPU.", feature="cuda")
    shares = _divide_cores(len(gpus))
    return [
        WorkerSlot(f"GPU {gpu.index}", share, {"CUDA_VISIBLE_DEVICES": gpu.uuid or str(gpu.index)})
        for gpu, share in zip(gpus, shares, strict=True)
    ]


def _divide_cores(count: int) -> list[tuple[int, ...]]:
    if not hasattr(os, "sched_getaffinity"):
        return [()] * count
    cores = sorted(os.sched_getaffinity(0))[: count_usable_cores()]
    return [tuple(cores[number::count]) or (cores[number % len(cores)],) for number in range(count)]


@contextmanager
def use_cores(cores: Sequence[int]) -> Generator[None]:
    """Let this thread and those that it starts use only these cores inside the block; () for all."""
    if not cores:
        yield
        return
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(min(threads, len(cores)))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        torch.set_num_threads(threads)


class ProcessPool:
    """Processes that run ``work`` on an order; ``are_needed``: they alone work on it."""

    def __init__(self, order_path: Path, slots: Sequence[WorkerSlot], on_message: OnMessage, *, are_needed: bool) -> None:
        self._order_path, self._slots, self._are_needed = order_path, slots, are_needed
        self._on_message = on_message
        for slot in slots:
            self._start(slot)

    def find_lost(self) -> list[str]:
        """See ``WorkerPool``. A worker that reports an error is not started again; one that was killed is, twice."""
        lost: list[str] = []
        reason = ""
        for slot in self._slots:
            code = slot.process.poll() if slot.process else None
            if slot.process is None or code is None:
                continue
            lost.append(slot.name)
            if slot.process.stdin:
                slot.process.stdin.close()
            slot.process = None
            reason = self._read_last_line(slot) or f"it ended with code {code}"
            if code < 0 and slot.starts <= _MAX_RESTARTS:
                self._on_message(f"{slot.name} was killed (signal {-code}) and is started again.")
                self._start(slot)
            else:
                self._on_message(f"{slot.name} ended: {reason}")
        if self._are_needed and not any(slot.process for slot in self._slots):
            raise NodeError(f"No worker is left. {reason}", "Finished parts are kept: run the same command again to go on.")
        return lost

    def close(self) -> None:
        """End all of them: they keep nothing that is needed."""
        running = [slot.process for slot in self._slots if slot.process]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()

    def _start(self, slot: WorkerSlot) -> None:
        slot.starts += 1
        module = "runtime" if is_checkout() else "upscale8k"
        command = [sys.executable, "-m", module, "work", str(self._order_path), "--attached", slot.name]
        command += ["--cores", ",".join(map(str, slot.cores))] if slot.cores else []
        with self._get_log_path(slot).open("wb") as log:
            slot.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=PACK_ROOT if is_checkout() else None,
                env={**os.environ, **slot.environment},
            )

    def _get_log_path(self, slot: WorkerSlot) -> Path:
        return self._order_path.with_name(WORK_NAME) / f"{slot.name.replace(' ', '-')}.log"

    def _read_last_line(self, slot: WorkerSlot) -> str:
        lines = self._get_log_path(slot).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1].removeprefix("Error: ") if lines else ""


@contextmanager
def open_process_pool(
    slots: Sequence[WorkerSlot], order_path: Path, on_message: OnMessage, *, are_needed: bool = True
) -> Generator[ProcessPool]:
    """Start the workers; end them after the block."""
    pool = ProcessPool(order_path, slots, on_message, are_needed=are_needed)
    try:
        yield pool
    finally:
        pool.close()
