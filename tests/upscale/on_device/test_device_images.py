"""Images that are upscaled in the memory of a device are those of the host, bit for bit; the processor is the device."""

from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.progress import open_silent_progress
from upscale8k.runtime.upscale import image_batch
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.on_device import device_tile_loop
from upscale8k.runtime.upscale.on_device.device_types import keep_results_on
from upscale8k.runtime.upscale.on_device.transfer import Transfer
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings


def upscale_both(images: torch.Tensor, model: Any, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[Any, Any, int]:
    """Return the results of host and device, and how often something came down from the device."""
    downloads: list[int] = []
    download = device_tile_loop.DeviceResult.download
    monkeypatch.setattr(device_tile_loop.DeviceResult, "download", lambda self, out: downloads.append(1) or download(self, out))
    chosen = TiledUpscaleSettings(
        **{"target": "model scale", "device": "cpu", "backend": "torch", "precision": "fp32", **settings}
    )
    found = []
    for types in ((), ("cpu",)):
        with keep_results_on(*types):
            found.append(upscale_batch(images, model, chosen, open_silent_progress).numpy())
    return (*found, len(downloads))


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2, 40, 70, 3), {"tile": 32}),
        ((1, 40, 70, 3), {"tile": 32, "batch": 3}),
        ((1, 20, 31, 3), {"target": "100x65", "tile": 32}),
        ((1, 9, 11, 3), {"target": "176x144", "tile": 32}),
        ((1, 24, 40, 3), {"tile": 32, "color_fix": "mean", "strength": 0.7}),
    ],
    ids=["tiles", "tiles in batches", "reduced", "two passes", "finished"],
)
def test_an_image_is_the_host_s_and_comes_down_once(
    shape: tuple[int, ...], settings: dict[str, Any], weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.as_tensor(np.random.default_rng(2).random(shape).astype(np.float32))
    host, device, downloads = upscale_both(images, weights("realesr-animevideov3"), monkeypatch, **settings)
    assert host.dtype == device.dtype == np.float32
    assert host.std() > 0.05
    np.testing.assert_array_equal(device, host)
    assert downloads == shape[0]


@pytest.mark.parametrize("reason", ["alpha", "grey", "linear light", "a large result"])
def test_other_images_are_written_to_host_memory_tile_by_tile(
    reason: str, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels, settings = {"alpha": 4, "grey": 1}.get(reason, 3), {"target": "60x48", "linear": reason == "linear light"}
    if reason == "a large result":
        monkeypatch.setattr(image_batch, "get_tile_memory", lambda device: 4 * 60 * 48 * 3 * 4 - 1)
    images = torch.as_tensor(np.random.default_rng(2).random((1, 16, 20, channels)).astype(np.float32))
    host, device, downloads = upscale_both(images, weights("realesr-animevideov3"), monkeypatch, **settings)
    assert downloads == 0
    np.testing.assert_array_equal(device, host)


def test_a_result_comes_down_in_parts_that_are_small(weights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pinned beside the result, which is IMAGE and stays."""
    sizes: list[int] = []
    start = Transfer.start_download

    def count(self: Transfer, tensors: Any) -> Any:
        sizes.extend(tensor.nbytes for tensor in tensors)
        return start(self, tensors)

    monkeypatch.setattr(Transfer, "start_download", count)
    images = torch.as_tensor(np.random.default_rng(2).random((1, 32, 20, 3)).astype(np.float32))
    host, device, _ = upscale_both(images, weights("realesr-animevideov3"), monkeypatch)
    np.testing.assert_array_equal(device, host)
    assert sizes == [host.nbytes // 8] * 8
