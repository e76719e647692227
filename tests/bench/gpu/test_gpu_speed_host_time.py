"""What the model's thread does for a frame, measured without a GPU."""

from types import SimpleNamespace
from typing import Any

import pytest
from upscale8k.runtime.bench.gpu import gpu_speed
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.upscale.on_device import device_tile_loop, rgb_to_planes


def test_both_ways_are_timed_and_the_device_is_waited_for_once_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[Any] = []
    is_all_valid = device_tile_loop.DeviceTileLoop.is_all_valid
    monkeypatch.setattr(
        device_tile_loop.DeviceTileLoop, "is_all_valid", lambda self: waits.append(self.is_valid) or is_all_valid(self)
    )
    monkeypatch.setattr(
        gpu_speed.UpscaleModel,
        "from_descriptor",
        lambda descriptor: SimpleNamespace(scale=4, halo=2, input_channels=3, output_channels=3),
    )
    seconds = gpu_speed.measure_host_time(SimpleNamespace(), Size(96, 64), frames=2)  # type: ignore[arg-type]
    assert set(seconds) == {"frames", "calls", "host"}
    assert min(seconds.values()) > 0
    assert len(waits) == 3


def test_a_few_pixels_take_the_calls_of_a_large_frame() -> None:
    """The frame whose calls are timed is converted in as many strips as one of 8K."""
    strips = {
        height: -(-height // (-(-height // (rgb_to_planes.STRIPS * 2)) * 2)) for height in (4 * gpu_speed.FEW, 4320, 4352)
    }
    assert strips[4 * gpu_speed.FEW] == strips[4320] == rgb_to_planes.STRIPS
