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

from ...engines.wire import engine_of
from ...hardware.cpu import computes_bf16, cpu
from ...hardware.footprint import most_pixels
from ...hardware.tile import best_side, tile_cost
from ...models.export import ANY_SIZE
from ...models.facts import UpscaleModel
from ...models.load import weights_hash
from ..device import resolve, resolve_precision
from . import Precision, openvino, remembered
from .trial import Contender, Result, tried

REFERENCE = Contender("torch", "fp32")
_HALF = Contender("torch", "bf16")
_OPENVINO = Contender("openvino", "fp32")
_WORTH_IT = 0.97
"""A backend must need less than this part of torch's time; otherwise torch, the reference, stays."""
_WORTH_ROUNDING = 0.7
"""The same for bf16 against the fastest in fp32: it is not there for a few per cent."""


@dataclass(frozen=True)
class Choice:
    """What to open. ``sentence`` says what was measured, where it was measured just now."""

    backend: str
    precision: Precision
    sentence: str | None = None


def choose(model: UpscaleModel, device: str, precision: Precision, backend: str = "auto") -> Choice:
    """What ``auto`` is for ``model``, for each of the two where it was asked for.

    Measures for a few seconds where that is not known. Raises what ``resolve`` and ``resolve_precision`` raise.
    """
    if backend == "auto" and engine_of(model.descriptor) is not None:
        return Choice("tensorrt", precision)
    if backend not in ("auto", "torch"):
        return Choice(backend, precision)
    place = resolve(device)
    settled = _NAMES[resolve_precision(precision, model, place)]
    contenders = _contenders(model, backend, precision) if place.type == "cpu" else [REFERENCE]
    if len(contenders) == 1 or settled != "fp32":
        return Choice("torch", settled)
    return _fastest(model, contenders)


_NAMES: dict[torch.dtype, Precision] = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def _contenders(model: UpscaleModel, backend: str, precision: Precision) -> list[Contender]:
    """What may run ``model`` on the processor, the reference first."""
    contenders = [REFERENCE]
    if model.architecture not in ANY_SIZE:
        return contenders
    if precision == "auto" and model.bfloat16_safe and computes_bf16(cpu()):
        contenders.append(_HALF)
    if backend == "auto" and openvino.is_installed():
        contenders.append(_OPENVINO)
    return contenders


def _fastest(model: UpscaleModel, contenders: list[Contender]) -> Choice:
    key = _key(model, contenders)
    known = remembered.recall(key, contenders)
    if known:
        return Choice(known.backend, known.precision)
    results = _for_whole_pictures(model, tried(model, contenders))
    standing = remembered.keep(key, _best(results), results, contenders)
    return Choice(standing.backend, standing.precision, _told(standing, results))


def _for_whole_pictures(model: UpscaleModel, tile: Mapping[Contender, Result]) -> dict[Contender, Result]:
    """What was found on one tile: a backend that takes more memory has smaller tiles, and more of them is halo."""
    reference = _halo_cost(model, REFERENCE)
    return {one: replace(found, part=found.part * _halo_cost(model, one) / reference) for one, found in tile.items()}


def _best(results: Mapping[Contender, Result]) -> Contender:
    times = {one: result.part for one, result in results.items()}
    best = REFERENCE
    for contender, worth_it in ((_OPENVINO, _WORTH_IT), (_HALF, _WORTH_ROUNDING)):
        if contender in times and times[contender] < times[best] * worth_it:
            best = contender
    return best


def _halo_cost(model: UpscaleModel, contender: Contender) -> float:
    pixels = most_pixels(model.architecture, model.scale, contender.backend)
    return tile_cost(best_side(model.halo, pixels), model.halo)


def _told(taken: Contender, results: Mapping[Contender, Result]) -> str | None:
    found = [_compared(one, result) for one, result in results.items() if one != REFERENCE]
    if not found:
        return None
    sentence = f"Tried once on this machine against {REFERENCE.title}: {', '.join(found)}. Using {taken.title}."
    if taken != _HALF or taken not in results:
        return sentence
    return f"{sentence} Its rounding is {results[taken].decibels:.0f} dB below the picture; the precision fp32 avoids it."


def _compared(contender: Contender, result: Result) -> str:
    if isinf(result.part):
        return f"{contender.title} is not true enough ({result.decibels:.0f} dB)"
    return f"{contender.title} is {1 / result.part:.2f} times as fast"


def _key(model: UpscaleModel, contenders: list[Contender]) -> str:
    """Everything that the answer depends on."""
    facts = [_processor(), str(torch.get_num_threads()), torch.__version__, weights_hash(model.descriptor)]
    facts += [f"{one.title} {openvino.version() if one == _OPENVINO else ''}" for one in contenders]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part", "flags"))]
        return " ".join(dict.fromkeys(named)) or platform.machine()
    return f"{platform.machine()} {platform.processor()}"
