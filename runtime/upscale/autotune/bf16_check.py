"""Check that a model in bf16 gives the image of fp32: one comparison of a fixed image, the same on every run.

The result is stored beside the other caches, because the two runs take seconds with a large model. It is not a choice: it
follows from what its key names, so any process that computes it anew gets the same.
"""

import json
from contextlib import closing, suppress
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from ...atomic_write import atomic_write
from ...hardware import Cpu
from ...models import UpscaleModel, hash_weights
from ...paths import get_autotune_file
from ..backends import open_backend
from ..backends.base import ResolvedPrecision
from ..memory import reuse_freed_memory

MIN_DECIBELS = 50.0
"""PSNR. Rounding to 8 bits is 59 dB; below 50 a bright gradient would begin to show it."""
_SIDE = 48
_KEY = "decibels"
_known: dict[str, float] = {}


def is_bf16_accurate(model: UpscaleModel, cpu: Cpu) -> bool:
    """Return whether ``model`` in bf16 on this processor is at least ``MIN_DECIBELS`` from itself in fp32."""
    key = f"bf16 {hash_weights(model.descriptor)} torch {torch.__version__} {' '.join(cpu.sets)}"
    if key not in _known:
        stored = _read_entries().get(key)
        decibels = cast("dict[str, object]", stored).get(_KEY) if isinstance(stored, dict) else None
        _known[key] = decibels if isinstance(decibels, float) else _measure_and_store(model, key)
    return _known[key] >= MIN_DECIBELS


def make_check_image() -> NDArray[np.float32]:
    """Return (1, side, side, 3) in 0..1 from a fixed seed: gradients of several sizes, and sharp edges between two of them.

    As an image is; noise would say little, because what a network makes of it is nothing like what it makes of images.
    """
    generator = torch.Generator().manual_seed(8)

    def make_gradients() -> torch.Tensor:
        layers = [torch.rand(1, 3, cells, cells, generator=generator) for cells in (4, 8, 16)]
        resized = [torch.nn.functional.interpolate(one, size=_SIDE, mode="bicubic") / one.shape[-1] for one in layers]
        total = torch.stack(resized).sum(0)
        return (total - total.min()) / (total.max() - total.min())

    image, mask = make_gradients(), make_gradients()[:, :1] > 0.5
    return torch.where(mask, image, 1 - image).permute(0, 2, 3, 1).contiguous().numpy()


def _measure_and_store(model: UpscaleModel, key: str) -> float:
    decibels = _measure(model)
    with suppress(OSError), atomic_write(get_autotune_file()) as temporary:
        temporary.write_text(json.dumps({**_read_entries(), key: {_KEY: decibels}}, indent=1), encoding="utf-8")
    return decibels


def _measure(model: UpscaleModel) -> float:
    """Return the PSNR in dB; infinite for equal results, NaN where bf16 fails or gives NaN."""
    image = make_check_image()[..., : model.input_channels]

    def run(precision: ResolvedPrecision) -> NDArray[np.float32]:
        with closing(open_backend("torch", model, torch.device("cpu"), precision)) as backend:
            return backend.run(image)

    with reuse_freed_memory():
        expected = run("fp32")
        try:
            found = run("bf16")
        except Exception:  # whatever the reason, fp32 works
            return float("nan")
    error = float(np.mean(np.square(found - expected, dtype=np.float64)))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def _read_entries() -> dict[str, object]:
    with suppress(OSError, ValueError, RecursionError):
        content: object = json.loads(get_autotune_file().read_text(encoding="utf-8"))
        return cast("dict[str, object]", content) if isinstance(content, dict) else {}
    return {}
