"""onnxruntime, on what the installed package supports: CUDA, DirectML or the CPU."""

from typing import Any

import torch

from ...errors import HardwareMissing
from ...models import UpscaleModel
from ..memory import make_tile_error, mentions_out_of_memory
from ..onnx_graph import Batch, get_onnx_graph, get_thread_count, import_library, run_padded
from .base import OnProgress, ResolvedPrecision, no_progress

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "privateuseone": "DmlExecutionProvider", "cpu": "CPUExecutionProvider"}
_INSTALL = "pip install onnx onnxruntime (or onnxruntime-gpu, onnxruntime-directml)"


class OnnxRuntimeBackend:
    """Runs a convolutional model by onnxruntime, in fp32."""

    def __init__(self, model: UpscaleModel, device: torch.device, precision: ResolvedPrecision) -> None:
        self.warnings: list[str] = []
        self._model = model
        library = import_library("onnxruntime", _INSTALL)
        self._provider = _select_provider(device, library.get_available_providers())
        options = library.SessionOptions()
        options.intra_op_num_threads = get_thread_count()
        options.log_severity_level = 3
        graph = get_onnx_graph(model, "onnxruntime")
        self._session: Any = library.InferenceSession(graph, options, providers=[_add_options(self._provider, device)])

    def run(self, batch: Batch, on_progress: OnProgress = no_progress) -> Batch:
        return run_padded(batch, self._model, self._infer)

    def close(self) -> None:
        self._session = None

    def _infer(self, planes: Batch) -> Batch:
        try:
            return self._session.run(None, {"input": planes})[0]
        except Exception as error:  # its exceptions have no common base class
            if not mentions_out_of_memory(error):
                raise
            raise make_tile_error(planes.shape[3], planes.shape[2], self._provider, "onnxruntime's ") from error


def find_device() -> torch.device:
    """The best device of the installed onnxruntime, which torch may not see; DirectML is torch's ``privateuseone``.

    Raises ``HardwareMissing`` without onnxruntime.
    """
    available = import_library("onnxruntime", _INSTALL).get_available_providers()
    return torch.device(next((kind for kind, provider in _PROVIDERS.items() if provider in available), "cpu"))


def _select_provider(device: torch.device, available: list[str]) -> str:
    """The provider for a device. Raises ``HardwareMissing``, naming the available ones."""
    provider = _PROVIDERS.get(device.type)
    if provider is None or provider not in available:
        raise HardwareMissing(
            f"This onnxruntime has no provider for the device {device}; it has {', '.join(available)}.",
            "Install onnxruntime-gpu for NVIDIA GPUs, or use --device cpu.",
            feature="onnxruntime",
        )
    return provider


def _add_options(provider: str, device: torch.device) -> tuple[str, dict[str, str]]:
    """CUDA computes fp32 in TF32 unless that is disabled."""
    if provider == _PROVIDERS["cpu"]:
        return provider, {}
    options = {"device_id": str(device.index or 0)}
    return provider, options | ({"use_tf32": "0"} if provider == _PROVIDERS["cuda"] else {})
