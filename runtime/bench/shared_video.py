"""Time one video in two ways in turn: by one process and by several workers, or by another checkout and by this one."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from ..checksum import compute_sha256
from ..errors import Upscale8KError, WorkflowError
from ..paths import PACK_ROOT, is_checkout


def benchmark_workers(source: Path, workers: str, options: Sequence[str], runs: int) -> str:
    """Return medians of wall and processor seconds by one process and by ``workers``; ``options`` are those of ``upscale``.

    Start of the processes included. Raises ``Upscale8KError`` if a run fails, or the files differ.
    """
    hashes: set[str] = set()
    ways = {"one process": (PACK_ROOT, [*options, "--workers", "1"])}
    ways[f"workers {workers}"] = (PACK_ROOT, [*options, "--workers", workers])
    text = _time_in_turn(source, ways, runs, lambda result: hashes.add(compute_sha256(result)))
    if len(hashes) > 1:
        raise Upscale8KError(f"{source.name}: one process and workers {workers} wrote different files.", "Report this.")
    return f"{text}\nthe same file"


def benchmark_checkouts(source: Path, other: Path, options: Sequence[str], runs: int) -> str:
    """Return medians of wall and processor seconds of the checkout ``other`` and of this one, and their ratios.

    Start of the processes included. Raises ``WorkflowError`` for another folder, ``Upscale8KError`` if a run fails.
    """
    if not (other / "runtime" / "__main__.py").is_file():
        raise WorkflowError(f"{other} is no checkout of this project.", "Name the folder that holds runtime.", path=other)
    return _time_in_turn(source, {other.name: (other, options), "this checkout": (PACK_ROOT, options)}, runs)


def _time_in_turn(
    source: Path,
    ways: Mapping[str, tuple[Path, Sequence[str]]],
    runs: int,
    on_result: Callable[[Path], object] = lambda _: None,
) -> str:
    """Upscale in each of two ways, a checkout and its options, and so on ``runs`` times; return a line for each clock."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, (checkout, options) in ways.items():
            with tempfile.TemporaryDirectory(prefix="upscale8k-") as folder:
                result = Path(folder, f"result{source.suffix}")
                wall, processor = time.monotonic(), _sum_child_seconds()
                _upscale(source, result, options, checkout)
                seconds[name].append((time.monotonic() - wall, _sum_child_seconds() - processor))
                on_result(result)
    first, second = ways
    lines = [f"{source.name}, {runs} runs each in turn, {os.cpu_count()} logical processors: {first}, then {second}"]
    for index, clock in enumerate(("wall", "processor")):
        before, now = (median(each[index] for each in seconds[name]) for name in ways)
        lines.append(
            f"{clock}: {before:.1f} s, {now:.1f} s, {now / before:.2f} times as long" if before else f"{clock}: unknown"
        )
    return "\n".join(lines)


def _sum_child_seconds() -> float:
    """Return the processor seconds of all ended child processes; 0 where the system does not count them."""
    times = os.times()
    return times.children_user + times.children_system


def _upscale(source: Path, result: Path, options: Sequence[str], checkout: Path) -> None:
    module = "runtime" if is_checkout() else "upscale8k"
    files = ["upscale", str(source.absolute()), "-o", str(result)]
    command = [sys.executable, "-m", module, *files, *options, "--progress", "none"]
    cwd = checkout if is_checkout() else None
    completed = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise Upscale8KError(f"{source.name} was not upscaled: {completed.stderr.strip()}")
