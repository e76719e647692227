"""LoadImage, SaveImage and SaveImageAdvanced of ComfyUI 0.30, with the same pixels.

ComfyUI decodes through FFmpeg. Compared to ``read_image_file``, JPEG and gray differ by a few 1/255, 16 bits by 3e-4. The
pixels are reproduced, so that a workflow does not change outside ComfyUI. Damaged files, which ComfyUI fills with gray or skips
silently, are errors here.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, Literal

import av
import av.error
import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio
import torch
from PIL import ImageOps, ImageSequence, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from torch import Tensor

from ...errors import MediaError, WorkflowError
from ...images import (
    MAX_PIXELS,
    PILLOW_READERS,
    EncodeJob,
    ImageFormatError,
    ImageHeader,
    check_last_row,
    check_pixel_limit,
    decode_image,
    make_damaged_file_error,
    make_non_finite_error,
    read_header,
    save_image,
    to_floats,
    translate_decoder_errors,
    verify_blocks,
    verify_chunks,
    write_png,
)
from ...media import Floats, Pixels, Size
from .frame_conversion import FrameConverter

Samples = npt.NDArray[Any]

_NO_ALPHA_MASK = (64, 64)
_NO_PROTOCOLS = {"protocol_whitelist": "none"}
"""FFmpeg gets the open file and may not open another, such as one named in a playlist."""
_PILLOW_FALLBACKS = PILLOW_READERS | {
    "png": PngImagePlugin.PngImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}


def load_image(path: str | PathLike[str], *, max_pixels: int = MAX_PIXELS) -> tuple[Floats, Floats]:
    """Load an image file as LoadImage does: every frame of a GIF, APNG or WebP, always three channels.

    Returns:
        ``images`` (B, H, W, 3), 0..1 for integer files, and ``masks`` (B, H, W), 1 - alpha; without alpha zeros (B, 64, 64).

    Raises:
        MediaError: as ``read_image_file``, and for JPEG XL, which ComfyUI does not read. ``max_pixels`` is for all frames.
    """
    file_path = Path(path)
    header = read_header(file_path, max_pixels)
    if header.format == "jxl":
        raise MediaError(
            f"{file_path.name} is JPEG XL, which LoadImage does not read.", "Save it as PNG or TIFF.", path=file_path
        )
    with translate_decoder_errors(file_path):
        _check_complete(file_path, header)
    with translate_decoder_errors(file_path), _translate_ffmpeg_errors():
        frames = list(_enforce_pixel_limit(file_path, _iter_ffmpeg_frames(file_path), max_pixels))
        if not frames:
            frames = list(_enforce_pixel_limit(file_path, _iter_pillow_frames(file_path, header), max_pixels))
    if not frames:
        raise make_damaged_file_error(file_path, "it decodes to no frame")
    return _stack_frames(file_path, frames)


def _check_complete(path: Path, header: ImageHeader) -> None:
    """Decode with the strict decoder, or verify the file's structure: FFmpeg decodes truncated images without an error."""
    if header.format == "png":
        verify_chunks(path)
    elif header.format == "gif":
        verify_blocks(path)
    else:
        decode_image(path, header)


@contextmanager
def _translate_ffmpeg_errors() -> Generator[None, None, None]:
    """Translate errors of FFmpeg, which after ``_check_complete`` mean an unsupported kind of image, not damage."""
    try:
        yield
    except av.error.FFmpegError as error:
        reason = f"FFmpeg, which decodes for LoadImage, does not support this kind of image ({error.strerror})"
        raise ImageFormatError(reason, "Save it as an 8-bit RGB PNG of at least 16x16 pixels.") from error


def _iter_ffmpeg_frames(path: Path) -> Iterator[Samples]:
    """Yield frames (H, W, 3 or 4), uint8 or float32; none where FFmpeg cannot decode the file (animated WebP)."""
    convert: FrameConverter | None = None
    broken = False
    with path.open("rb") as file, av.open(_hide_file_name(file), "r", options=_NO_PROTOCOLS) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                broken = True
                continue
            for frame in frames:
                convert = convert or FrameConverter(frame, stream)
                yield convert(frame)
    if broken and convert:
        raise ValueError("one of its frames cannot be decoded")


def _hide_file_name(file: BinaryIO) -> SimpleNamespace:
    """Return the file without its name, because FFmpeg would read a_1.png, a_2.png, ... for a name such as a_%d.png."""
    return SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell)


def _iter_pillow_frames(path: Path, header: ImageHeader) -> Iterator[Samples]:
    """Yield all frames decoded by Pillow, without those of another size than the first."""
    if header.format not in _PILLOW_FALLBACKS:
        return
    size: tuple[int, int] | None = None
    with _PILLOW_FALLBACKS[header.format](path) as file:
        for frame in ImageSequence.Iterator(file):
            image = ImageOps.exif_transpose(frame)
            size = size or image.size
            if image.size == size:
                yield np.array(image.convert("RGBA" if "A" in image.getbands() else "RGB"))


def _enforce_pixel_limit(path: Path, frames: Iterator[Samples], max_pixels: int) -> Iterator[Samples]:
    for count, frame in enumerate(frames, 1):
        check_pixel_limit(path, Size(frame.shape[1], frame.shape[0] * count), max_pixels)
        yield frame


def _stack_frames(path: Path, frames: list[Samples]) -> tuple[Floats, Floats]:
    shape = frames[0].shape
    if any(frame.shape != shape for frame in frames):
        raise MediaError(f"{path.name} contains frames of different sizes.", "Save each frame as a file.", path=path)
    images = np.empty((len(frames), *shape[:2], 3), np.float32)
    has_alpha = shape[2] == 4
    masks = (
        np.empty((len(frames), *shape[:2]), np.float32) if has_alpha else np.zeros((len(frames), *_NO_ALPHA_MASK), np.float32)
    )
    for index, frame in enumerate(frames):
        to_floats(frame[:, :, :3], out=images[index])
        if has_alpha:
            np.subtract(np.float32(1), to_floats(frame[:, :, 3]), out=masks[index])
    return images, masks


def save_png(path: str | PathLike[str], image: Floats, text: Mapping[str, str] | None = None) -> Path:
    """Write (H, W, C) float32 as an 8-bit PNG with SaveImage's pixels and text chunks; one channel is gray.

    An existing file is kept: where ``path`` is taken, the next number is used. Returns the final path.

    Raises:
        OutputError: as ``write_image_file``.
    """
    job = EncodeJob(image, 8, None, text=text or {}, quantize=_truncate_to_uint8)
    return save_image(Path(path), lambda temp: write_png(job, temp), numbered=True)


def _truncate_to_uint8(strip: Pixels, bits: int = 8) -> npt.NDArray[np.uint8]:
    assert bits == 8
    scaled = strip * np.float32(255)
    if np.isnan(scaled).any():
        raise make_non_finite_error()
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


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
