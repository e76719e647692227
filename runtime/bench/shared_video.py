"""Time one video in two ways in turn: by one process and by several workers, or by another checkout and by this one."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ..checksum import compute_sha256
from ..errors import Upscale8KError, WorkflowError
from ..paths import PACK_ROOT, is_checkout


def benchmark_workers(source: Path, workers: str, options: Sequence[str], runs: int) -> str:
    """Return medians of wall seconds, start of the processes included, and their ratio; ``options`` are those of ``upscale``.

    Raises ``Upscale8KError`` if a run fails, or the files differ.
    """
    seconds: dict[str, list[float]] = {"1": [], workers: []}
    hashes: set[str] = set()
    for _ in range(runs):
        for choice, times in seconds.items():
            with tempfile.TemporaryDirectory(prefix="upscale8k-") as folder:
                result = Path(folder, f"result{source.suffix}")
                started = time.monotonic()
                _upscale(source, result, [*options, "--workers", choice])
                times.append(time.monotonic() - started)
                hashes.add(compute_sha256(result))
    if len(hashes) > 1:
        raise Upscale8KError(f"{source.name}: one process and workers {workers} wrote different files.", "Report this.")
    alone, shared = median(seconds["1"]), median(seconds[workers])
    return (
        f"one process {alone:.1f} s, workers {workers} {shared:.1f} s: {shared / alone:.2f} times as long; "
        f"{os.cpu_count()} logical processors, the same file"
    )


def benchmark_checkouts(source: Path, other: Path, options: Sequence[str], runs: int) -> str:
    """Return medians of wall and processor seconds of the checkout ``other`` and of this one, and their ratios.

    Start of the processes included. Raises ``WorkflowError`` for another folder, ``Upscale8KError`` if a run fails.
    """
    if not (other / "runtime" / "__main__.py").is_file():
        raise WorkflowError(f"{other} is no checkout of this project.", "Name the folder that holds runtime.", path=other)
    seconds: list[tuple[Path, list[tuple[float, float]]]] = [(other, []), (PACK_ROOT, [])]
    for _ in range(runs):
        for checkout, times in seconds:
            with tempfile.TemporaryDirectory(prefix="upscale8k-") as folder:
                wall, processor = time.monotonic(), _sum_child_seconds()
                _upscale(source, Path(folder, f"result{source.suffix}"), options, checkout)
                times.append((time.monotonic() - wall, _sum_child_seconds() - processor))
    lines = [f"{source.name}, {runs} runs each in turn, {os.cpu_count()} logical processors: {other.name}, then this checkout"]
    for index, name in enumerate(("wall", "processor")):
        before, now = (median(each[index] for each in times) for _, times in seconds)
        lines.append(f"{name}: {before:.1f} s, {now:.1f} s, {now / before:.2f} times as long" if before else f"{name}: unknown")
    return "\n".join(lines)


def _sum_child_seconds() -> float:
    """Return the processor seconds of all ended child processes; 0 where the system does not count them."""
    times = os.times()
    return times.children_user + times.children_system


def _upscale(source: Path, result: Path, options: Sequence[str], checkout: Path = PACK_ROOT) -> None:
    module = "runtime" if is_checkout() else "upscale8k"
    files = ["upscale", str(source.absolute()), "-o", str(result)]
    command = [sys.executable, "-m", module, *files, *options, "--progress", "none"]
    cwd = checkout if is_checkout() else None
    completed = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise Upscale8KError(f"{source.name} was not upscaled: {completed.stderr.strip()}")
