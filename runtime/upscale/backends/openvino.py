"""OpenVINO on the CPU or an Intel GPU.

The graph is compiled once, with dynamic height and width: measured within 4 % of one compiled for each shape (SRVGG-16 and
RRDB-23, OpenVINO 2026.4, one core), and an image may have several tile shapes, each of which would hold the weights again.
fp32 is requested explicitly, because by default OpenVINO computes in bf16 on a CPU with AMX.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from ...errors import HardwareMissing, WorkflowError
from ...models import UpscaleModel
from ..memory import make_tile_error, mentions_out_of_memory
from ..onnx_graph import Batch, get_onnx_graph, get_thread_count, import_library, run_padded
from .base import OnProgress, ResolvedPrecision, no_progress

if TYPE_CHECKING:
    import torch

_PRECISION_HINTS: dict[ResolvedPrecision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoBackend:
    """Runs a convolutional model by OpenVINO."""

    def __init__(self, model: UpscaleModel, device: torch.device, precision: ResolvedPrecision) -> None:
        self.warnings: list[str] = []
        self._model = model
        core: Any = _import_without_telemetry().Core()
        self._device = _select_device(device.type, core)
        self._request: Any = _compile_model(core, get_onnx_graph(model, "openvino"), self._device, precision)

    def run(self, batch: Batch, on_progress: OnProgress = no_progress) -> Batch:
        return run_padded(batch, self._model, self._infer)

    def close(self) -> None:
        self._request = None

    def _infer(self, planes: Batch) -> Batch:
        try:
            # The result is OpenVINO's memory, valid until the next call; run_padded copies it.
            return self._request.infer([planes], share_inputs=True, share_outputs=True)[0]
        except RuntimeError as error:
            if not mentions_out_of_memory(error):
                raise
            raise make_tile_error(planes.shape[3], planes.shape[2], self._device, "OpenVINO's ") from error


def _import_without_telemetry() -> Any:
    """Import OpenVINO as if its telemetry package were missing: that asks www.google-analytics.com and writes ~/intel."""
    sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))  # None makes an import of it fail
    try:
        return import_library("openvino", "pip install openvino onnx")
    finally:
        if sys.modules["openvino_telemetry"] is cast("ModuleType", None):
            del sys.modules["openvino_telemetry"]


def _select_device(kind: str, core: Any) -> str:
    """OpenVINO's name for a device type of torch. Raises ``HardwareMissing`` for one that OpenVINO does not see."""
    openvino_device = {"cpu": "CPU", "xpu": "GPU"}.get(kind)
    if openvino_device is None or not any(found.split(".")[0] == openvino_device for found in core.available_devices):
        raise HardwareMissing(
            f"OpenVINO does not see the device {kind}.", "Use --device cpu, or the backend torch.", feature="openvino"
        )
    return openvino_device


def _compile_model(core: Any, graph: bytes, device: str, precision: ResolvedPrecision) -> Any:
    if precision == "fp16" and device == "CPU":
        raise WorkflowError("OpenVINO computes in fp32 or bf16 on a CPU, not in fp16.", "Choose the precision auto or fp32.")
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _PRECISION_HINTS[precision]}
    if device == "CPU":
        # One tile at a time on as many threads as torch uses, not pinned to cores that other programs may use.
        options |= {"INFERENCE_NUM_THREADS": get_thread_count(), "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    return core.compile_model(core.read_model(graph), device, options).create_infer_request()
