"""A made-up TensorRT at the edge of our code, and small networks."""

from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from spandrel import ImageModelDescriptor
from spandrel.architectures.Compact import Compact, CompactArch
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.trt.target_gpu import TensorRTPackage


@pytest.fixture(autouse=True)
def cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def small() -> UpscaleModel:
    torch.manual_seed(8)
    net = Compact(num_feat=8, num_conv=2, upscale=2)
    descriptor = ImageModelDescriptor(
        net, net.state_dict(), CompactArch(), "SR", [], True, True, scale=2, input_channels=3, output_channels=3
    )
    return UpscaleModel.from_descriptor(descriptor.eval())


class Capability(Enum):
    NONE, CURRENT, SM75, SM86, SM89, SM120 = range(6)


@pytest.fixture
def flavour() -> Callable[..., TensorRTPackage]:
    """A flavour whose module knows some GPUs and nothing else."""
    return lambda name="tensorrt_rtx", version="1.2.3": TensorRTPackage(
        name, version, SimpleNamespace(ComputeCapability=Capability, __version__=version)
    )
