"""What ``auto`` means: measured once on this machine with the model itself, and stored.

The answer depends on the machine, the versions and the weights, never on the tile or the image. So a setting that only costs
time changes no byte, and ComfyUI and the command line, which share the stored answers, give the same pixels. The first stored
answer stands, also when two processes measured at the same time.
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

from ...hardware import choose_tile_side, compute_max_tile_pixels, compute_tile_cost, has_bf16, query_cpu
from ...models import ANY_SIZE, UpscaleModel, hash_weights
from ...trt import get_engine
from ..backends.base import AUTO, BACKENDS, REFERENCE_BACKEND, Precision
from ..device import resolve_precision
from . import cache
from .trial import Candidate, TrialResult, run_trials

REFERENCE = Candidate(REFERENCE_BACKEND, "fp32")


@dataclass(frozen=True)
class BackendChoice:
    """What to open. ``precision`` stays ``auto`` for a backend with its own; ``message`` says what was measured just now."""

    backend: str
    precision: Precision
    message: str | None = None


def select_backend(model: UpscaleModel, device: torch.device, precision: Precision, backend: str = AUTO) -> BackendChoice:
    """Replace ``auto`` in ``backend`` and, for torch, in ``precision``.

    Measures for some seconds on a CPU where no answer is stored. Raises ``WorkflowError`` for a precision that the model is not
    safe in.
    """
    if backend == AUTO and get_engine(model.descriptor) is not None:
        return BackendChoice("tensorrt", precision)
    if backend not in (AUTO, REFERENCE.backend):
        return BackendChoice(backend, precision)
    resolved_precision = resolve_precision(precision, model, device)
    candidates = _list_candidates(model, backend, precision) if device.type == "cpu" else [REFERENCE]
    if len(candidates) == 1 or resolved_precision != "fp32":
        return BackendChoice(REFERENCE.backend, resolved_precision)
    return _select_fastest(model, candidates)


def _list_candidates(model: UpscaleModel, backend: str, precision: Precision) -> list[Candidate]:
    """What may run ``model`` on the CPU, the reference first."""
    candidates = [REFERENCE]
    if model.architecture not in ANY_SIZE:
        return candidates
    supports_bf16 = model.bfloat16_safe and has_bf16(query_cpu())
    for spec in BACKENDS.values():
        trials = [Candidate(spec.name, name) for name, _ in spec.cpu_trials if name != "bf16" or supports_bf16]
        requested = [one for one in trials if precision in (AUTO, one.precision) and backend in (AUTO, one.backend)]
        candidates += requested if requested and spec.is_installed() else []
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
    """Results of one tile for a whole image: a backend that takes more memory has smaller tiles, and more of them is halo."""
    reference = _compute_halo_cost(model, REFERENCE)
    return {
        one: replace(found, relative_time=found.relative_time * _compute_halo_cost(model, one) / reference)
        for one, found in tile_results.items()
    }


def _pick_best(results: Mapping[Candidate, TrialResult]) -> Candidate:
    """The fastest in fp32, then one in half precision if it is much faster than that."""
    best = REFERENCE
    for candidate in sorted(results, key=lambda one: one.precision != "fp32"):
        limit = dict(BACKENDS[candidate.backend].cpu_trials).get(candidate.precision, 0.0)
        if results[candidate].relative_time < results[best].relative_time * limit:
            best = candidate
    return best


def _compute_halo_cost(model: UpscaleModel, candidate: Candidate) -> float:
    pixels = compute_max_tile_pixels(model.architecture, model.scale, candidate.backend)
    return compute_tile_cost(choose_tile_side(model.halo, pixels), model.halo)


def _describe_choice(choice: Candidate, results: Mapping[Candidate, TrialResult]) -> str | None:
    comparisons = [_describe_comparison(one, result) for one, result in results.items() if one != REFERENCE]
    if not comparisons:
        return None
    message = f"Measured once on this machine against {REFERENCE.title}: {', '.join(comparisons)}. Using {choice.title}."
    if choice.precision == "fp32" or choice not in results:
        return message
    return f"{message} Its rounding error is {results[choice].decibels:.0f} dB below the image; the precision fp32 avoids it."


def _describe_comparison(candidate: Candidate, result: TrialResult) -> str:
    if isinf(result.relative_time):
        return f"{candidate.title} is not accurate enough ({result.decibels:.0f} dB)"
    return f"{candidate.title} is {1 / result.relative_time:.2f} times as fast"


def _make_cache_key(model: UpscaleModel, candidates: list[Candidate]) -> str:
    """A hash of everything that the answer depends on. Stored on disk: another text measures everything anew."""
    facts = [_identify_processor(), str(torch.get_num_threads()), torch.__version__, hash_weights(model.descriptor)]
    for one in candidates:
        version = "" if one.backend == REFERENCE.backend else BACKENDS[one.backend].get_version()
        facts.append(f"{one.title} {version}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _identify_processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        cpu_fields = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part", "flags"))]
        return " ".join(dict.fromkeys(cpu_fields)) or platform.machine()
    return f"{platform.machine()} {platform.processor()}"
