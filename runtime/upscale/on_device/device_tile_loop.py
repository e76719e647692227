"""The tile loop over a frame in the memory of a device: nothing waits for the device until the frame is complete."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from ...images import make_non_finite_error, to_floats
from ...media import DeviceFrame, Floats, Frame, PlanarFrame, Region, Samples, Size
from ...models import UpscaleModel
from ...progress import Progress
from ..backends.base import DeviceBackend
from ..color_fix import ColorFixResult
from ..finishing.finish_frame import Finish, finish_frame
from ..frame_result import FrameBatcher
from ..memory import translate_out_of_memory
from ..output_buffer import OutputBuffer
from ..target_size import ScalePlan
from ..tile_loop import TileLoop
from ..tiles import Tile, Tiling
from .device_buffer import DeviceBuffer, DeviceReducingBuffer, ResultImage, codes_to_floats
from .device_image_editor import DeviceImageEditor, cut_strips
from .planes_to_rgb import convert_to_rgb
from .transfer import Transfer

_PIXEL_BYTES = 20
"""Three channels of 16 bits, 3 bytes of planes in each of two frames, and 60 bytes in one of eight parts."""
_SOURCE_PIXEL_BYTES = 45
"""R'G'B' and planes of two frames, and 60 bytes in one of two parts."""
_FINISHED_PIXEL_BYTES = 8
_REDUCED_PIXEL_BYTES = 20
"""Three floats, and some 64 bytes in one of eight parts."""


SourceImage = Callable[[], torch.Tensor]
"""Lets the device wait for the upload, and returns (H, W, 3)."""


class DeviceResult:
    """The result of one frame after another, in the memory of a device; a tile that is not computed keeps what it was.

    It is uint16 over 0..65535 for an encoder, or float32 in 0..1 for ``download``.
    """

    def __init__(
        self,
        model: UpscaleModel,
        backend: DeviceBackend,
        plan: ScalePlan,
        device: torch.device,
        dtype: torch.dtype = torch.uint16,
    ) -> None:
        self._model, self._plan, self._device = model, plan, device
        self._backend = DeviceFrameBatcher(backend)
        self._transfer = Transfer(device)
        size = plan.final_size
        with torch.inference_mode(), self._translate_errors():
            if dtype == torch.uint16:  # an encoder takes planes
                self._out = torch.empty((3, size.height, size.width), dtype=dtype, device=device).permute(1, 2, 0)
            else:
                self._out = torch.empty((size.height, size.width, 3), dtype=dtype, device=device)
        self._image = ResultImage(self._out, self._transfer)

    def prepare(self, frame: Frame) -> SourceImage:
        """Begin to upload ``frame``, for ``run_ahead`` and ``upscale``; planes are converted on the device."""
        with torch.inference_mode(), self._translate_errors():
            wait_on_device = self._transfer.start_upload(frame.find_samples())
        if isinstance(frame, PlanarFrame):
            return lambda: convert_to_rgb(wait_on_device(), frame.layout)
        return lambda: wait_on_device()[0]

    def prepare_pixels(self, pixels: Floats) -> SourceImage:
        """Do the same for (H, W, 3) float32 in 0..1."""
        with torch.inference_mode(), self._translate_errors():
            wait_on_device = self._transfer.start_upload([pixels])
        return lambda: wait_on_device()[0]

    def download(self, out: Floats) -> None:
        """Wait for the device, and write the result to ``out`` (H, W, 3), in parts: host memory holds it once."""
        with torch.inference_mode(), self._translate_errors():
            for rows in cut_strips(len(out)):
                (part,) = self._transfer.start_download([self._out[rows].flatten(1)])()
                out[rows] = part.reshape(out[rows].shape)

    def run_ahead(self, images: Sequence[SourceImage], batch: int) -> None:
        """Run images in a batch of that size, for the next calls of ``upscale``."""
        if batch > 1:
            with torch.inference_mode(), self._translate_errors():
                self._backend.run_ahead([codes_to_floats(image()) for image in images], batch)

    def upscale(self, image: SourceImage, tiling: Tiling, progress: Progress, is_unchanged: Callable[[Region], bool]) -> Tiling:
        """Upscale ``image``, and wait once for the device; return the tiling at the end as ``upscale_image`` does.

        Raises ``OutOfMemory``, and ``ImageFormatError`` where the network gives NaN in fp32.
        """
        with torch.inference_mode(), self._translate_errors():
            source = image()
            loop = DeviceTileLoop(self._model.scale, self._backend, tiling, False, progress, is_unchanged)
            loop.run_passes(source, self._plan, self._out)
            self._transfer.wait()
            if not loop.is_all_valid():
                done = loop.reported_pixels
                loop = DeviceTileLoop(
                    self._model.scale, self._backend, loop.tiling, False, progress, is_unchanged, checked=True
                )
                loop.reported_pixels = done
                loop.run_passes(source, self._plan, self._out)
                if not loop.is_all_valid():
                    raise make_non_finite_error()
        self._image = ResultImage(self._out, self._transfer)
        return loop.tiling

    def finish(self, pixels: Samples, finish: Finish, *, measure: bool) -> ColorFixResult | None:
        """Let ``make_frame`` return a finished copy, as ``HostResult.finish`` does."""
        with torch.inference_mode(), self._translate_errors():
            finished = self._out.clone()
            editable = DeviceImageEditor(finished, self._transfer)
            fix = finish_frame(to_floats(pixels), editable, finish, measure=measure)
        self._image = ResultImage(finished, self._transfer)
        return fix

    def make_frame(self, source: Frame, *, is_repeat: bool = False) -> Frame:
        """Return the result at the time of ``source``."""
        return DeviceFrame(self._image, source.pts, source.duration, source.time_base, is_repeat)

    def _translate_errors(self) -> AbstractContextManager[None]:
        size = self._plan.final_size
        return translate_out_of_memory(size.width, size.height, self._device, "result")


def estimate_result_memory(source: Size, plan: ScalePlan, finish: Finish) -> int:
    """Return the bytes of a device that a frame of ``source`` takes beside its tiles: result, planes, and parts of them."""
    final, model = plan.final_size.pixel_count, plan.model_size.pixel_count
    reduced = _REDUCED_PIXEL_BYTES * model if model != final else 0
    return (
        (_PIXEL_BYTES + (_FINISHED_PIXEL_BYTES if finish.is_needed else 0)) * final
        + reduced
        + _SOURCE_PIXEL_BYTES * source.pixel_count
    )


class DeviceFrameBatcher(FrameBatcher):
    """A ``DeviceBackend`` that runs images ahead in one batch."""

    def __init__(self, backend: DeviceBackend) -> None:
        super().__init__(backend)
        self._device_backend = backend

    def run_batch(self, images: Sequence[Any]) -> list[Any]:
        upscaled, _ = self._device_backend.run_on_device(torch.stack(list(images)).permute(0, 3, 1, 2), checked=True)
        upscaled = upscaled.clone()  # the next batch may be written to the same memory
        return [upscaled[index : index + 1] for index in range(len(upscaled))]

    def run_on_device(self, tiles: torch.Tensor, *, checked: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        return (self.results.popleft(), None) if self.results else self._device_backend.run_on_device(tiles, checked=checked)


@dataclass
class DeviceTileLoop(TileLoop):
    """Runs ``backend``, a ``DeviceFrameBatcher``, on (H, W, 3) tensors of its device: uint8, uint16, float32 in, uint16 out."""

    checked: bool = False
    """Whether each tile is waited for and computed in fp32 where it overflowed."""
    is_valid: torch.Tensor | None = field(default=None, init=False)
    """On the device: whether all tiles so far are finite, and plausible in half precision."""

    def is_all_valid(self) -> bool:
        """Wait for the device; a frame without a changed tile is valid."""
        return self.is_valid is None or bool(self.is_valid)

    def make_pass_output(self, pixels: Any) -> torch.Tensor:
        height, width, channels = pixels.shape
        return torch.zeros((height * self.scale, width * self.scale, channels), dtype=torch.float32, device=pixels.device)

    def make_buffer(self, size: Size, out: Any, *, is_direct: bool, linear: bool = False) -> OutputBuffer:
        return DeviceBuffer(out) if is_direct else DeviceReducingBuffer(size, out)

    def _upscale_and_write(self, pixels: Any, group: tuple[Tile, ...], buffer: OutputBuffer, copy_flat_tiles: bool) -> None:
        padded = group[0].padded
        with translate_out_of_memory(padded.width, padded.height, pixels.device):
            super()._upscale_and_write(pixels, group, buffer, copy_flat_tiles)

    def upscale_tiles(self, pixels: Any, group: tuple[Tile, ...], copy_flat_tiles: bool) -> Iterable[torch.Tensor]:
        tiles = torch.stack([codes_to_floats(pixels[tile.padded.rows, tile.padded.columns]) for tile in group])
        upscaled, is_valid = cast(DeviceFrameBatcher, self.backend).run_on_device(
            tiles.permute(0, 3, 1, 2), checked=self.checked
        )
        if is_valid is None:
            is_valid = torch.isfinite(upscaled.sum(dtype=torch.float32))
        self.is_valid = is_valid if self.is_valid is None else self.is_valid & is_valid
        self.show_warnings()
        return upscaled.permute(0, 2, 3, 1)
