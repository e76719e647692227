"""ComfyUI's frame interpolation: models of RIFE 4 and FILM, and the frames between those of a batch."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ....errors import WorkflowError
from ....progress import OpenProgress
from ....upscale import build_film_net, build_rife, resolve_device
from .load_network import load_network


class FrameInterpolator(Protocol):
    """A network that makes images between two. ``features`` are what ``extract`` made of both."""

    multiple: int
    smallest_side: int

    def extract(self, image: Tensor) -> Any: ...

    def interpolate(self, first: Tensor, second: Tensor, features: Any, times: Sequence[float]) -> Sequence[Tensor]: ...


def load_frame_interpolator(path: str) -> nn.Module:
    """Return the network in a file of RIFE 4 or FILM, float32 on the CPU. Raises ``ModelDamaged``, ``UnsupportedModel``."""
    return load_network(path, (build_rife, build_film_net), "frame interpolation model: RIFE 4 (five blocks) or FILM")


@torch.inference_mode()
def interpolate_frames(model: Any, images: Tensor, multiplier: int, device: str, open_progress: OpenProgress) -> Tensor:
    """Return (B - 1) * ``multiplier`` + 1 images: those of ``images`` (B, H, W, 3) as they are, and the ones between.

    Raises ``WorkflowError`` for images that are too small for the model.
    """
    count, height, width = images.shape[:3]
    if count < 2 or multiplier < 2:
        return images
    network = cast(FrameInterpolator, model)
    if min(height, width) < network.smallest_side:
        what = f"The model takes images of {network.smallest_side} pixels and more on each side, not {width}x{height}."
        raise WorkflowError(what, "Choose larger images, or a model of RIFE.")
    target = resolve_device(device)
    cast(nn.Module, model).to(target)
    times = [step / multiplier for step in range(1, multiplier)]
    result = torch.empty((count - 1) * multiplier + 1, height, width, images.shape[3])
    result[::multiplier] = images

    def prepare(index: int) -> Tensor:
        padding = [-side % network.multiple for side in (height, width)]
        frame = images[index : index + 1].movedim(-1, 1).to(target, torch.float32)
        return pad(frame, (0, padding[1], 0, padding[0]), mode="reflect") if any(padding) else frame

    with open_progress((count - 1) * len(times), "frame") as progress:
        second = prepare(0)
        second_features = network.extract(second)
        for index in range(count - 1):
            first, first_features, second = second, second_features, prepare(index + 1)
            second_features = network.extract(second)
            made = network.interpolate(first, second, (first_features, second_features), times)
            for step, image in enumerate(made, index * multiplier + 1):
                result[step] = image[0, :, :height, :width].movedim(0, -1)
                progress.advance()
    return result.clamp_(0.0, 1.0)
