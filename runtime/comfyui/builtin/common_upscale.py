"""ComfyUI's ``common_upscale``, bit for bit: torch's interpolation, or Pillow's Lanczos, for (B, C, H, W) tensors."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate


def common_upscale(samples: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Resize (B, C, ..., H, W); ``crop="center"`` first crops the center to the new aspect ratio.

    ``method`` is a mode of ``torch.nn.functional.interpolate``, without antialiasing, or ``lanczos``.
    """
    if samples.ndim > 4:
        batch, channels, *between = samples.shape[:-2]
        flat = samples.reshape(batch, channels, -1, *samples.shape[-2:]).movedim(2, 1).flatten(0, 1)
        resized = common_upscale(flat, width, height, method, crop).reshape(batch, -1, channels, height, width)
        return resized.movedim(2, 1).reshape(batch, channels, *between, height, width)
    if crop == "center":
        samples = crop_to_aspect(samples, width / height)
    if method == "lanczos":
        return resize_lanczos(samples, width, height)
    return interpolate(samples, size=(height, width), mode=method)


def crop_to_aspect(samples: Tensor, aspect: float) -> Tensor:
    """Return the center of (..., H, W) with the aspect ratio width / height."""
    height, width = samples.shape[-2:]
    own = width / height
    x = round((width - width * (aspect / own)) / 2) if own > aspect else 0
    y = round((height - height * (own / aspect)) / 2) if own < aspect else 0
    return samples[..., y : height - y, x : width - x]


def resize_lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Resize (B, C, H, W) by Pillow on truncated 8-bit values; the result is (B, H, W) when C is 1 or absent."""
    grey = samples.ndim == 3 or samples.shape[1] == 1
    images = samples.reshape(-1, *samples.shape[-2:]) if grey else samples.movedim(1, -1)
    resized = torch.stack([_resize_image(image, width, height) for image in images])
    return (resized if grey else resized.movedim(-1, 1)).to(samples.device, samples.dtype)


def _resize_image(image: Tensor, width: int, height: int) -> Tensor:
    pixels = np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)
    resized = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    return torch.as_tensor(resized.astype(np.float32) / 255.0)
