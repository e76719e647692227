"""One file per machine that can run a model, behind one small interface. ``null`` repeats pixels and needs no torch.

``open_backend`` imports only the file that was asked for. ``auto`` is ``tensorrt`` for a model that carries an engine; on a CPU
what ``choice`` measured to be the fastest of ``torch``, ``torch`` in bf16 and ``openvino``; and ``torch`` anywhere else. In
fp32 all give what torch gives to 1e-4, in half precision to 50 dB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from ...errors import WorkflowError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...models.upscale_model import UpscaleModel

Precision = Literal["auto", "fp32", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "fp16", "bf16")
BACKENDS = ("auto", "torch", "openvino", "onnxruntime", "tensorrt", "null")


OnProgress = Callable[[float], None]
"""Told the share of a tile that is done, from 0 to 1, by the thread that asked for the tile. May raise, which ends the work."""


def no_progress(fraction: float) -> None:
    """A ``Part`` that nobody listens to."""


class Backend(Protocol):
    """A model made ready on a device."""

    warnings: list[str]
    """Sentences about what had to be done differently; the caller shows and clears them."""

    def run(self, batch: NDArray[np.float32], on_progress: OnProgress = no_progress) -> NDArray[np.float32]:
        """Upscale ``batch`` (N, h, w, C) in 0..1 to (N, h * scale, w * scale, C) in 0..1, both float32 in host memory.

        ``part`` is called as often as the backend knows how far it is, which may be never.
        Raises ``OutOfMemory`` when this shape does not fit; a smaller one may.
        """
        ...

    def close(self) -> None:
        """Give the device's memory back."""
        ...


def open_backend(name: str, model: UpscaleModel, device: str, precision: Precision) -> Backend:
    """Make ``model`` ready on ``device``.

    Raises ``WorkflowError`` for an unknown name or a precision that the model is not safe in, ``HardwareMissing`` for a
    device or a library that is not there, ``UnsupportedModel`` for a network that the backend cannot run.
    """
    if "auto" not in (name, precision):
        return _open_named(name, model, device, precision)
    from ..autotune.select import select_backend

    choice = select_backend(model, device, precision, name)
    backend = _open_named(choice.backend, model, device, choice.precision)
    backend.warnings += [choice.message] if choice.message else []
    return backend


def _open_named(name: str, model: UpscaleModel, device: str, precision: Precision) -> Backend:
    if name == "torch":
        from .torch import TorchBackend

        return TorchBackend(model, device, precision)
    if name == "openvino":
        from .openvino import OpenVinoBackend

        return OpenVinoBackend(model, device, precision)
    if name == "onnxruntime":
        from .onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(model, device, precision)
    if name == "tensorrt":
        from .tensorrt import TensorRtBackend

        return TensorRtBackend(model, device, precision)
    if name == "null":
        from .null import NullBackend

        return NullBackend(model.scale)
    raise WorkflowError(f"There is no backend called {name!r}.", f"Use one of: {', '.join(BACKENDS)}.")
