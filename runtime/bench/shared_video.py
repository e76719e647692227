"""Time one video in one process and by several workers, in turn: what sharing out costs, or saves, on this machine."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ..checksum import compute_sha256
from ..errors import Upscale8KError
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


def _upscale(source: Path, result: Path, options: Sequence[str]) -> None:
    module = "runtime" if is_checkout() else "upscale8k"
    command = [
        sys.executable,
        "-m",
        module,
        "upscale",
        str(source.absolute()),
        "-o",
        str(result),
        *options,
        "--progress",
        "none",
    ]
    completed = subprocess.run(command, cwd=PACK_ROOT if is_checkout() else None, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise Upscale8KError(f"{source.name} was not upscaled: {completed.stderr.strip()}")
