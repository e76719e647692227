"""What ``auto`` means: measured once on this machine with the very model, and remembered.

The answer depends on the machine, the versions and the weights, never on the tile or the picture, so that a setting that only
costs time changes no byte, and ComfyUI and the command line, which share the memory of it, give the same pixels. The first
answer that was written down stands, also when two processes measured at the same time.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, cast

import numpy as np
import torch

from ...engines.wire import engine_of
from ...models.converted import cache_folder
from ...models.export import ANY_SIZE
from ...models.facts import UpscaleModel
from ...models.load import weights_hash
from ..allocator import reused_memory
from ..device import resolve
from . import Backend, Precision, openvino

_CANDIDATES = ("torch", "openvino")
_AGREES = 1e-4
_WORTH_IT = 0.97
"""A backend must need less than this part of torch's time; otherwise torch, the reference, stays."""
_SMALL, _LARGE = 48, 192
_SECONDS = 0.4
_TURNS = 3


@dataclass(frozen=True)
class Choice:
    """``sentence`` says what was measured, where it was measured just now."""

    backend: str
    sentence: str | None = None


def choose(model: UpscaleModel, device: str, precision: Precision) -> Choice:
    """What ``auto`` is for ``model``. Measures for a few seconds where that is not known; raises what ``resolve`` does."""
    if engine_of(model.descriptor) is not None:
        return Choice("tensorrt")
    on_cpu = resolve(device).type == "cpu" and precision in ("auto", "fp32")
    if not on_cpu or model.architecture not in ANY_SIZE or not openvino.is_installed():
        return Choice("torch")
    key = _key(model)
    known = _recalled(key)
    if known:
        return Choice(known)
    seconds = _measured(model)
    fastest = "openvino" if seconds.get("openvino", np.inf) < seconds["torch"] * _WORTH_IT else "torch"
    settled = _remembered(key, fastest, seconds)
    if len(seconds) == 1:
        return Choice(settled)
    ratio = seconds["torch"] / seconds["openvino"]
    return Choice(settled, f"Tried once on this machine: OpenVINO is {ratio:.2f} times as fast as torch; using {settled}.")


def _key(model: UpscaleModel) -> str:
    """Everything that the answer depends on."""
    facts = [_processor(), str(torch.get_num_threads()), torch.__version__, openvino.version(), weights_hash(model.descriptor)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part", "flags"))]
        return " ".join(dict.fromkeys(named)) or platform.machine()
    return f"{platform.machine()} {platform.processor()}"


def _measured(model: UpscaleModel) -> dict[str, float]:
    """Seconds that each backend needs for the same tile, the least of some turns; without a backend that disagrees or fails."""
    with reused_memory(), closing(_opened("torch", model)) as reference:
        small = _noise(_SMALL)
        expected = reference.run(small)
        began = time.perf_counter()
        reference.run(small)
        side = int(np.clip(_SMALL * (_SECONDS / (time.perf_counter() - began)) ** 0.5, _SMALL, _LARGE)) // 16 * 16
        try:
            other = _opened("openvino", model)
        except Exception:  # whatever keeps it from working here, torch works
            return {"torch": 0.0}
        with closing(other):
            if not np.abs(other.run(small) - expected).max() <= _AGREES:
                return {"torch": 0.0}
            return _timed({"torch": reference, "openvino": other}, _noise(side))


def _timed(backends: dict[str, Backend], tile: Any) -> dict[str, float]:
    seconds = dict.fromkeys(backends, np.inf)
    for turn in range(_TURNS + 1):
        for name, backend in backends.items():
            began = time.perf_counter()
            backend.run(tile)
            if turn:
                seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds


def _opened(name: str, model: UpscaleModel) -> Backend:
    from . import open_backend

    return open_backend(name, model, "cpu", "fp32")


def _noise(side: int) -> Any:
    return np.random.default_rng(8).random((1, side, side, 3), dtype=np.float32)


def _file() -> Path:
    return cache_folder() / "backends.json"


def _recalled(key: str) -> str | None:
    """The backend that was written down, if the file can be read and says something that can be."""
    with suppress(OSError, ValueError):
        content: object = json.loads(_file().read_text(encoding="utf-8"))
        entry = cast("dict[str, object]", content).get(key) if isinstance(content, dict) else None
        name = cast("dict[str, object]", entry).get("backend") if isinstance(entry, dict) else None
        return name if isinstance(name, str) and name in _CANDIDATES else None
    return None


def _remembered(key: str, backend: str, seconds: dict[str, float]) -> str:
    """Write the answer down and return what stands: an answer that came first stays. A cache that cannot be written is none."""
    standing = _recalled(key)
    if standing:
        return standing
    with suppress(OSError):
        _write({**_all(), key: {"backend": backend, "seconds": seconds}})
    return backend


def _all() -> dict[str, object]:
    with suppress(OSError, ValueError):
        content: object = json.loads(_file().read_text(encoding="utf-8"))
        return cast("dict[str, object]", content) if isinstance(content, dict) else {}
    return {}


def _write(answers: dict[str, object]) -> None:
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        json.dump(answers, file, indent=1)
    part = Path(file.name)
    try:
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
