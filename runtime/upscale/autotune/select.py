"""What ``auto`` means: measured once on this machine with the very model, and remembered.

The answer depends on the machine, the versions and the weights, never on the tile or the picture, so that a setting that only
costs time changes no byte, and ComfyUI and the command line, which share the memory of it, give the same pixels. The first
answer that was written down stands, also when two processes measured at the same time.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isinf
from pathlib import Path

import torch

from ...hardware.cpu import has_bf16, query_cpu
from ...hardware.tile_memory import choose_tile_side, compute_max_tile_pixels, compute_tile_cost
from ...models.load import hash_weights
from ...models.onnx_export import ANY_SIZE
from ...models.upscale_model import UpscaleModel
from ...trt.attach import get_engine
from ..backends import Precision, openvino
from ..device import resolve_device, resolve_precision
from . import cache
from .trial import Candidate, TrialResult, run_trials

REFERENCE = Candidate("torch", "fp32")
_TORCH_BF16 = Candidate("torch", "bf16")
_OPENVINO = Candidate("openvino", "fp32")
_MAX_RELATIVE_TIME = 0.97
"""A backend must need less than this part of torch's time; otherwise torch, the reference, stays."""
_MAX_RELATIVE_TIME_BF16 = 0.7
"""The same for bf16 against the fastest in fp32: it is not there for a few per cent."""


@dataclass(frozen=True)
class BackendChoice:
    """What to open. ``sentence`` says what was measured, where it was measured just now."""

    backend: str
    precision: Precision
    message: str | None = None


def select_backend(model: UpscaleModel, device: str, precision: Precision, backend: str = "auto") -> BackendChoice:
    """What ``auto`` is for ``model``, for each of the two where it was asked for.

    Measures for a few seconds where that is not known. Raises what ``resolve`` and ``resolve_precision`` raise.
    """
    if backend == "auto" and get_engine(model.descriptor) is not None:
        return BackendChoice("tensorrt", precision)
    if backend not in ("auto", "torch"):
        return BackendChoice(backend, precision)
    torch_device = resolve_device(device)
    resolved_precision = _PRECISION_NAMES[resolve_precision(precision, model, torch_device)]
    candidates = _list_candidates(model, backend, precision) if torch_device.type == "cpu" else [REFERENCE]
    if len(candidates) == 1 or resolved_precision != "fp32":
        return BackendChoice("torch", resolved_precision)
    return _select_fastest(model, candidates)


_PRECISION_NAMES: dict[torch.dtype, Precision] = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def _list_candidates(model: UpscaleModel, backend: str, precision: Precision) -> list[Candidate]:
    """What may run ``model`` on the processor, the reference first."""
    candidates = [REFERENCE]
    if model.architecture not in ANY_SIZE:
        return candidates
    if precision == "auto" and model.bfloat16_safe and has_bf16(query_cpu()):
        candidates.append(_TORCH_BF16)
    if backend == "auto" and openvino.is_installed():
        candidates.append(_OPENVINO)
    return candidates


def _select_fastest(model: UpscaleModel, candidates: list[Candidate]) -> BackendChoice:
    key = _make_cache_key(model, candidates)
    stored = cache.load(key, candidates)
    if stored:
        return BackendChoice(stored.backend, stored.precision)
    results = _adjust_for_halo(model, run_trials(model, candidates))
    stored_choice = cache.store(key, _pick_best(results), results, candidates)
    return BackendChoice(stored_choice.backend, stored_choice.precision, _describe_choice(stored_choice, results))


def _adjust_for_halo(model: UpscaleModel, tile_results: Mapping[Candidate, TrialResult]) -> dict[Candidate, TrialResult]:
    """What was found on one tile: a backend that takes more memory has smaller tiles, and more of them is halo."""
    reference = _compute_halo_cost(model, REFERENCE)
    return {
        one: replace(found, relative_time=found.relative_time * _compute_halo_cost(model, one) / reference)
        for one, found in tile_results.items()
    }


def _pick_best(results: Mapping[Candidate, TrialResult]) -> Candidate:
    times = {one: result.relative_time for one, result in results.items()}
    best = REFERENCE
    for candidate, max_relative_time in ((_OPENVINO, _MAX_RELATIVE_TIME), (_TORCH_BF16, _MAX_RELATIVE_TIME_BF16)):
        if candidate in times and times[candidate] < times[best] * max_relative_time:
            best = candidate
    return best


def _compute_halo_cost(model: UpscaleModel, candidate: Candidate) -> float:
    pixels = compute_max_tile_pixels(model.architecture, model.scale, candidate.backend)
    return compute_tile_cost(choose_tile_side(model.halo, pixels), model.halo)


def _describe_choice(choice: Candidate, results: Mapping[Candidate, TrialResult]) -> str | None:
    comparisons = [_describe_comparison(one, result) for one, result in results.items() if one != REFERENCE]
    if not comparisons:
        return None
    message = f"Tried once on this machine against {REFERENCE.title}: {', '.join(comparisons)}. Using {choice.title}."
    if choice != _TORCH_BF16 or choice not in results:
        return message
    return f"{message} Its rounding is {results[choice].decibels:.0f} dB below the picture; the precision fp32 avoids it."


def _describe_comparison(candidate: Candidate, result: TrialResult) -> str:
    if isinf(result.relative_time):
        return f"{candidate.title} is not true enough ({result.decibels:.0f} dB)"
    return f"{candidate.title} is {1 / result.relative_time:.2f} times as fast"


def _make_cache_key(model: UpscaleModel, candidates: list[Candidate]) -> str:
    """Everything that the answer depends on."""
    facts = [_identify_processor(), str(torch.get_num_threads()), torch.__version__, hash_weights(model.descriptor)]
    facts += [f"{one.title} {openvino.get_version() if one == _OPENVINO else ''}" for one in candidates]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _identify_processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        cpu_fields = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part", "flags"))]
        return " ".join(dict.fromkeys(cpu_fields)) or platform.machine()
    return f"{platform.machine()} {platform.processor()}"
