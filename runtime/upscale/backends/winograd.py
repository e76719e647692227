"""Winograd's minimal filtering on the CPU: fp32 with a quarter of the products of direct convolutions; the rest is torch's."""

import torch
from torch.nn import Module

from ...errors import HardwareMissing, UnsupportedModel
from ...models import UpscaleModel, list_stages
from ..memory import return_code, return_freed_memory
from ..winograd.winograd_networks import has_winograd_layers, use_winograd
from ..winograd.winograd_program import NetworkResources
from .base import ResolvedPrecision
from .torch import TorchBackend


class WinogradBackend(TorchBackend):
    """Runs SRVGG and ESRGAN networks; in a chain torch runs the others.

    Raises ``UnsupportedModel`` for a model without such a network, ``HardwareMissing`` where the code cannot run.
    """

    def __init__(self, model: UpscaleModel, device: torch.device, precision: ResolvedPrecision) -> None:
        if not any(has_winograd_layers(stage.model) for stage in list_stages(model.descriptor)):
            raise UnsupportedModel(
                f"The backend winograd runs networks of the kinds Compact and ESRGAN, not {model.architecture}.",
                "Choose the backend auto or torch.",
            )
        if device.type != "cpu":
            raise HardwareMissing(
                f"The backend winograd runs on the CPU, not on {device}.",
                "Use --device cpu, or the backend torch.",
                feature="winograd",
            )
        self._resources: list[NetworkResources] = []
        super().__init__(model, device, precision)

    def close(self) -> None:
        super().close()
        for resources in self._resources:
            resources.memory.release()

    def _optimize(self, net: Module, dtype: torch.dtype) -> torch.dtype:
        if not has_winograd_layers(net):
            return super()._optimize(net, dtype)
        self._resources.append(use_winograd(net))
        return_freed_memory()  # LLVM has compiled the kernels: 75 MB, and 49 MB of its own code
        return_code("libllvmlite.so")
        return dtype
