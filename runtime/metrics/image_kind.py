"""What an image is: a photograph, a drawing, or text. A small convolutional network looks at the whole and at five parts.

The whole tells what is shown; the parts, which keep their own pixels, tell how it was made: grain and soft steps, or flat areas
and clean lines. The network is MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) up to its last block, with mean and standard
deviation of each channel and two layers on top; 1.8 million weights in 8 and 16 bits.
``tests/metrics/train_image_kinds.py`` taught it; README.md has what it was measured to do, and where its first weights come
from.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..media import Floats

KINDS = ("photograph", "drawing", "text")
_SURE = 0.88
"""Of drawing and photograph together a drawing has at least this share: a photograph must never get a model for drawings."""
_LONGEST, _SIDE = 768, 224
_PARTS = ((0.5, 0.5), (0.15, 0.15), (0.15, 0.85), (0.85, 0.15), (0.85, 0.85))
"""Where parts lie between the edges: down, right."""
_LARGEST_SCALE = 4
_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
"""Of the convolution in each block that sees neighbors."""

_Bytes = NDArray[np.uint8]
_Layer = tuple[Tensor, Tensor]


def classify_image(images: Sequence[Floats]) -> str:
    """Return which of ``KINDS`` the images (H, W, 1 to 4), floats in 0..1, are together; frames of one video, or one image.

    ``photograph`` when unsure. Alpha is shown on white.
    """
    photograph, drawing, text = _normalize(np.mean([compute_log_shares(image) for image in images], axis=0))
    if drawing > _SURE * (drawing + photograph) and drawing > text:
        return "drawing"
    return "text" if text > photograph else "photograph"


def compute_log_shares(image: Floats) -> NDArray[np.float64]:
    """Return the logarithms of the shares of ``KINDS`` in (H, W, 1 to 4) in 0..1; the whole and the parts count half each."""
    pixels = _to_rgb(image)
    views = np.stack([_resize(pixels, _SIDE, _SIDE), *_cut_parts(pixels)])
    with torch.inference_mode():
        batch = torch.as_tensor(views).permute(0, 3, 1, 2).float() / 127.5 - 1
        whole, *parts = torch.log_softmax(_run_network(batch), dim=1).double().numpy()
    return (whole + np.mean(parts, axis=0)) / 2


def _normalize(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(logs - logs.max())
    return shares / shares.sum()


def _to_rgb(image: Floats) -> _Bytes:
    """Return (h, w, 3), at most ``_LONGEST`` pixels a side."""
    color = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1].repeat(3, axis=2)
    if image.shape[2] in (2, 4):
        alpha = image[:, :, -1:]
        color = color * alpha + (1 - alpha)
    height, width = color.shape[:2]
    scale = min(_LONGEST / max(height, width), 1)
    reduced = _resize(color, max(round(height * scale), 1), max(round(width * scale), 1))
    return (np.clip(np.nan_to_num(reduced), 0, 1) * 255 + 0.5).astype(np.uint8)


def _cut_parts(pixels: _Bytes) -> list[_Bytes]:
    """Return parts of ``_SIDE`` pixels, enlarged only if the image is smaller than one, and a narrow line only across."""
    height, width = pixels.shape[:2]
    if min(height, width) < _SIDE:
        scale = min(_SIDE / min(height, width), _LARGEST_SCALE)
        pixels = _resize(pixels, max(round(height * scale), _SIDE), max(round(width * scale), _SIDE))
        height, width = pixels.shape[:2]
    corners = [(int(down * (height - _SIDE)), int(right * (width - _SIDE))) for down, right in _PARTS]
    return [pixels[top : top + _SIDE, left : left + _SIDE] for top, left in corners]


def _resize(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if pixels.shape[:2] == (height, width):
        return pixels
    method = cv2.INTER_AREA if height <= pixels.shape[0] and width <= pixels.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=method)


@cache
def _load_layers() -> tuple[_Layer, ...]:
    """Return kernel (outputs, inputs, height, width) and bias of each layer, in their order."""
    with np.load(Path(__file__).with_suffix(".npz")) as stored:
        scaled = [stored[f"kernel{i}"] * stored[f"scale{i}"][:, None, None, None] for i in range(len(stored.files) // 3)]
        return tuple((torch.as_tensor(kernel), torch.as_tensor(stored[f"bias{i}"])) for i, kernel in enumerate(scaled))


def _run_network(pixels: Tensor) -> Tensor:
    """Return the logits (N, 3) of (N, 3, 224, 224) in -1..1."""
    layers = iter(_load_layers())
    features = _convolve(pixels, next(layers), stride=2).clamp(0, 6)
    for block, stride in enumerate(_STRIDES):
        wide = _convolve(features, next(layers)).clamp(0, 6) if block else features
        narrow = _convolve(_convolve(wide, next(layers), stride).clamp(0, 6), next(layers))
        features = features + narrow if narrow.shape == features.shape else narrow
    seen = torch.cat([features.mean((2, 3)), features.std((2, 3))], dim=1)[:, :, None, None]
    return _convolve(_convolve(seen, next(layers)).relu(), next(layers))[:, :, 0, 0]


def _convolve(features: Tensor, layer: _Layer, stride: int = 1) -> Tensor:
    kernel, bias = layer
    groups = features.shape[1] // kernel.shape[1]
    if kernel.shape[2] > 1:  # as TensorFlow pads: an even length by one pixel at its end where every second one is kept
        features = F.pad(features, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
    return F.conv2d(features, kernel, bias, stride, groups=groups)
