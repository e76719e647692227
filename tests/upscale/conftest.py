"""Real weights and real photographs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def weights() -> Callable[[str], Any]:
    """Load a model of the catalog by its id; the descriptor that goes over the wire."""
    from upscale8k.runtime.models.load import load_model
    from upscale8k.runtime.models.locate import find_model

    return lambda name: load_model(find_model(name, ()))


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """(512, 512, 3) float32: the astronaut (NASA, public domain), which scikit-image carries."""
    from skimage import data

    return data.astronaut().astype(np.float32) / 255


@pytest.fixture(scope="session")
def realesrganer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Any]:
    """Makes the reference implementation's own upscaler for a descriptor of RRDBNet weights."""
    import sys
    import types
    import warnings

    # basicsr 1.4.2 imports a module that torchvision 0.17 took away; it is lent its one function while it is imported.
    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules:
        from torchvision.transforms.functional import rgb_to_grayscale

        sys.modules[name] = types.SimpleNamespace(rgb_to_grayscale=rgb_to_grayscale)  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        realesrgan = pytest.importorskip("realesrgan", reason="the reference needs: pip install --no-deps realesrgan basicsr")
        from basicsr.archs.rrdbnet_arch import RRDBNet
    del sys.modules[name]

    def make(descriptor: Any) -> Any:
        import torch

        # spandrel names the modules by their place; the authors' classes, by their role. The order is the same.
        net = RRDBNet(
            num_in_ch=3,
            num_out_ch=3,
            num_feat=64,
            num_block=descriptor.model.hyperparameters["num_blocks"],
            num_grow_ch=32,
            scale=4,
        )
        tensors = zip(net.state_dict(), descriptor.model.state_dict().values(), strict=True)
        path = tmp_path_factory.mktemp("reference") / "official.pth"
        torch.save({"params_ema": dict(tensors)}, path)
        return realesrgan.RealESRGANer(
            scale=4, model_path=str(path), model=net, tile=0, pre_pad=0, half=False, device=torch.device("cpu")
        )

    return make
