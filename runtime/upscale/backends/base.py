"""The interface of a backend, and the table of all backends.

A new backend is a file in this folder and one row of ``BACKENDS``: node inputs, the command line, reported versions, cache
keys, tile memory and what ``auto`` prefers are derived from it. Imports no heavy library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, Protocol

from ...errors import WorkflowError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

ResolvedPrecision = Literal["fp32", "fp16", "bf16"]
Precision = Literal["auto"] | ResolvedPrecision
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "fp16", "bf16")

OnProgress = Callable[[float], None]
"""Receives the finished fraction of a tile, 0 to 1, in the thread that runs the tile. May raise, which ends the work."""


def no_progress(fraction: float) -> None:
    """An ``OnProgress`` that ignores its argument."""


class Backend(Protocol):
    """A model that is ready to run on a device."""

    warnings: list[str]
    """Messages for the user, such as an overflow in fp16; the caller shows and clears them."""

    def run(self, batch: NDArray[np.float32], on_progress: OnProgress = no_progress) -> NDArray[np.float32]:
        """Upscale ``batch`` (N, h, w, C) in 0..1 to (N, h * scale, w * scale, C) in 0..1, both float32 in host memory.

        ``on_progress`` is called as often as the backend knows its progress, which may be never.
        Raises ``OutOfMemory`` when this shape does not fit; a smaller one may.
        """
        ...

    def close(self) -> None:
        """Free the memory of the device."""
        ...


class DeviceBackend(Backend, Protocol):
    """A backend that also takes and returns tensors of its device."""

    def run_on_device(self, tiles: torch.Tensor, *, checked: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Upscale ``tiles`` (N, C, h, w) float32 in 0..1 to (N, C, h * scale, w * scale), valid until the next call.

        The second value is, without waiting for the device, whether half precision did not overflow; None where it cannot.
        With ``checked`` this waits instead, and returns the result in fp32 where it did. Raises as ``run`` does.
        """
        ...


@dataclass(frozen=True)
class BackendSpec:
    """One backend: what it needs, what it can do, and how it is opened."""

    name: str
    factory: str
    """``module.Class`` in this package, called with model, device and precision; imported when it is first opened."""
    description: str = ""
    """For help texts, where the name alone does not say it."""
    packages: tuple[str, ...] = ()
    """Distributions whose version decides the pixels, the main one first; any one of them may be installed."""
    modules: tuple[str, ...] = ()
    """What must be importable to run it."""
    precisions: tuple[ResolvedPrecision, ...] = ("fp32",)
    """What it computes in; the first is ``auto``, unless the model or the device decides."""
    devices: tuple[str, ...] = ()
    """Device types of torch that ``auto`` takes, the best first; empty for any."""
    finds_devices: bool = False
    """Whether the module has a ``find_device``, because the library may see devices that torch does not."""
    compact_bytes_per_pixel: int = 650
    """Memory of a tile in SRVGG networks, fp32."""
    cpu_esrgan_memory: tuple[int, int] | None = None
    """Bytes per pixel and base of a tile in ESRGAN networks on a CPU, where they differ from other devices."""
    cpu_architectures: tuple[str, ...] = ()
    """Architectures that ``auto`` gives to it in fp32 on a CPU with ``cpu_set``, the first row that can; the numbers are in
    ``autotune.select``."""
    cpu_set: str = "AVX-512"
    block: int = 1
    """It computes blocks of so many pixels a side, on whose whole content the rounding of each pixel depends: tiles begin at
    multiples of it, and a halo must be so many times as wide for the bits of the untiled result."""
    has_device_tensors: bool = False
    """Whether it is a ``DeviceBackend``."""
    can_calibrate: bool = False
    """Whether ``probe --calibrate`` measures it."""

    def is_installed(self) -> bool:
        """Whether its modules are installed, without importing them."""
        return all(find_spec(name) is not None for name in self.modules)

    def get_version(self) -> str:
        """The version of its main package. Raises ``PackageNotFoundError``."""
        return version(self.packages[0])


BACKENDS: dict[str, BackendSpec] = {
    spec.name: spec
    for spec in (
        BackendSpec(
            "torch",
            "torch.TorchBackend",
            packages=("torch",),
            precisions=("fp32", "fp16", "bf16"),
            cpu_esrgan_memory=(1_500, 300_000_000),
            has_device_tensors=True,
            can_calibrate=True,
        ),
        BackendSpec(
            "winograd",
            "winograd.WinogradBackend",
            description="fast fp32 on a CPU",
            packages=("llvmlite",),
            modules=("llvmlite",),
            devices=("cpu",),
            compact_bytes_per_pixel=740,
            cpu_esrgan_memory=(1_800, 300_000_000),
            cpu_architectures=("Compact", "ESRGAN"),
            cpu_set="AVX2",
            block=4,
            can_calibrate=True,
        ),
        BackendSpec(
            "openvino",
            "openvino.OpenVinoBackend",
            packages=("openvino",),
            modules=("openvino", "onnx"),
            precisions=("fp32", "fp16", "bf16"),
            devices=("xpu", "cpu"),
            compact_bytes_per_pixel=1_500,
            cpu_architectures=("Compact",),
            can_calibrate=True,
        ),
        BackendSpec(
            "onnxruntime",
            "onnxruntime.OnnxRuntimeBackend",
            packages=("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml"),
            modules=("onnxruntime", "onnx"),
            finds_devices=True,
            can_calibrate=True,
        ),
        BackendSpec(
            "tensorrt",
            "tensorrt.TensorRtBackend",
            packages=("tensorrt", "tensorrt-rtx"),
            precisions=("fp32", "fp16", "bf16"),
            has_device_tensors=True,
        ),
        BackendSpec(
            "null", "null.NullBackend", description="repeats pixels, for a dry run", precisions=("fp32", "fp16", "bf16")
        ),
    )
}
AUTO: Final = "auto"
REFERENCE_BACKEND = "torch"
"""The backend that all others are compared with."""


def list_backend_choices() -> tuple[str, ...]:
    """``auto`` and the name of every backend, as node inputs and the command line offer them."""
    return (AUTO, *BACKENDS)


def describe_backend_choices() -> str:
    """The same as a phrase for help texts."""
    *names, last = (f"{spec.name} ({spec.description})" if spec.description else spec.name for spec in BACKENDS.values())
    return f"{', '.join((AUTO, *names))} or {last}"


def get_backend_spec(name: str) -> BackendSpec:
    """The row of ``name``. Raises ``WorkflowError`` for an unknown one, ``auto`` included."""
    if name not in BACKENDS:
        raise WorkflowError(f"There is no backend called {name!r}.", f"Use one of: {', '.join(list_backend_choices())}.")
    return BACKENDS[name]


def list_backend_packages() -> list[str]:
    """The distributions whose versions decide the pixels of some backend."""
    return [package for spec in BACKENDS.values() for package in spec.packages]
