"""What the ONNX backends share: the exported graph, cached while its model exists, and the padding to sizes that it takes."""

from collections.abc import Callable
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import HardwareMissing, UnsupportedModel
from ..models import ANY_SIZE, UpscaleModel, export_onnx

Batch = NDArray[np.float32]

_graphs: WeakKeyDictionary[torch.nn.Module, bytes] = WeakKeyDictionary()


def import_library(module: str, install: str, backend: str = "") -> Any:
    """Import the library of ``backend``, by default of the same name. Raises ``HardwareMissing`` with the command for it."""
    backend = backend or module
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise HardwareMissing(
            f"The backend {backend} needs the package {package}.", f"Install it with: {install}", feature=backend
        ) from error


def get_onnx_graph(model: UpscaleModel, backend: str) -> bytes:
    """Return the fp32 graph of ``model`` for any tile size, exported once per loaded model.

    Raises ``UnsupportedModel`` for an architecture whose graph is valid for one size only, and what ``export_onnx`` raises.
    """
    if model.architecture not in ANY_SIZE:
        raise UnsupportedModel(
            f"The backend {backend} runs {' and '.join(ANY_SIZE)} networks; this one is {model.architecture}.",
            "Use the backend torch.",
        )
    content = _graphs.get(model.descriptor.model)
    if content is None:
        content = _graphs[model.descriptor.model] = export_onnx(model).content
    return content


def run_padded(batch: Batch, model: UpscaleModel, infer: Callable[[Batch], Batch]) -> Batch:
    """Run ``batch`` (N, h, w, C) through ``infer``, which takes (N, C, H, W) whose sides are multiples of the model's."""
    height, width = batch.shape[1:3]
    bottom, right = -height % model.multiple, -width % model.multiple
    planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    if bottom or right:
        planes = np.pad(planes, ((0, 0), (0, 0), (0, bottom), (0, right)), "reflect")  # as spandrel pads
    result = infer(planes)[:, :, : height * model.scale, : width * model.scale]
    return np.ascontiguousarray(result.transpose(0, 2, 3, 1))


def get_thread_count() -> int:
    """As many threads as torch uses."""
    return torch.get_num_threads()
