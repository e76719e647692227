"""ComfyUI 0.30's SaveImageAdvanced, with the same pixels: PNG of 8 or 16 bits, or EXR of 32-bit linear light."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import OpenImageIO as oiio
import torch
from torch import Tensor

from ...errors import WorkflowError
from ...images import EncodeJob, check_last_row, make_non_finite_error, save_image, write_png
from ...media import Floats, Pixels
from .load_save_image import save_png

InputColorSpace = Literal["sRGB", "HDR", "linear"]

# x and y of red, green, blue and white: ITU-R BT.709-6 and BT.2020-2, item 1 of their tables of colorimetry.
_BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
_BT2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)

# ITU-R BT.2100-2, table 5: the HLG curve.
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991072928


def save_image_advanced(path: Path, image: Tensor, bits: int, color_space: InputColorSpace, text: Mapping[str, str]) -> Path:
    """Write one image (H, W), or (H, W, C) with 1, 3 or 4 channels. ``bits``: 8 or 16 for .png, 32 for .exr.

    Integers are truncated, not rounded; values outside 0..1 are clipped in a PNG and kept in an EXR. An EXR is converted from
    ``color_space`` to linear light, a PNG is not converted. Raises ``WorkflowError`` for another number of channels,
    ``OutputError`` as ``write_image_file`` does.
    """
    image_hwc = image[..., None] if image.ndim == 2 else image
    if image_hwc.shape[-1] not in (1, 3, 4):
        raise WorkflowError(
            f"An image of {image_hwc.shape[-1]} channels cannot be saved as {path.suffix[1:].upper()}.",
            "Convert it to gray, RGB or RGBA.",
        )
    if bits == 32:
        light = _image_to_linear(image_hwc, color_space).cpu().numpy().astype(np.float32)
        primaries = _BT2020 if color_space == "HDR" else _BT709
        return save_image(path, lambda temp: _write_exr(temp, light, primaries, text), numbered=True)
    pixels = image_hwc.detach().float().cpu().numpy()
    if bits == 8:
        return save_png(path, pixels, text)
    job = EncodeJob(pixels, 16, None, text=text, quantize=_truncate_to_uint16)
    return save_image(path, lambda temp: write_png(job, temp), numbered=True)


def _write_exr(temp_path: Path, light: Floats, primaries: tuple[float, ...], text: Mapping[str, str]) -> None:
    """Write an EXR with straight alpha as ComfyUI does, although OpenEXR expects premultiplied colors."""
    height, width, channels = light.shape
    spec = oiio.ImageSpec(width, height, channels, "float")
    spec.channelnames = ("Y",) if channels == 1 else ("R", "G", "B", "A")[:channels]
    spec.attribute("compression", "zip")
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), primaries)
    for key, value in text.items():
        spec.attribute(key, value)
    target: oiio.ImageOutput | None = oiio.ImageOutput.create("openexr")
    if target is None:
        raise OSError(oiio.geterror())
    # After a failure close() still returns True; only the pending message shows it.
    opened: bool = target.open(str(temp_path), spec)  # pyright: ignore[reportUnknownMemberType]
    done = opened and target.write_image(np.ascontiguousarray(light)) and target.close()
    if not done or target.has_error:
        raise OSError(target.geterror())
    check_last_row(temp_path)


def _truncate_to_uint16(strip: Pixels, bits: int) -> Pixels:
    scaled = strip * np.float32((1 << bits) - 1)
    if np.isnan(scaled).any():
        raise make_non_finite_error()
    return np.clip(scaled, 0, (1 << bits) - 1, out=scaled).astype(np.uint16)


def _image_to_linear(image: Tensor, color_space: InputColorSpace) -> Tensor:
    if color_space == "linear":
        return image
    decode = _srgb_to_linear if color_space == "sRGB" else _hlg_to_linear
    return torch.cat([decode(image[..., :3]), image[..., 3:]], dim=-1)


def _srgb_to_linear(code: Tensor) -> Tensor:
    """IEC 61966-2-1."""
    return torch.where(code <= 0.04045, code / 12.92, ((code.clamp(min=0.0) + 0.055) / 1.055) ** 2.4)


def _hlg_to_linear(code: Tensor) -> Tensor:
    """ITU-R BT.2100-2, the inverse of the HLG OETF: scene light. Codes above 1 continue the curve."""
    above = (torch.exp((code.clamp(min=0.5) - _HLG_C) / _HLG_A) + _HLG_B) / 12.0
    return torch.where(code <= 0.5, code**2 / 3.0, above)
