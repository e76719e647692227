"""Copies between host and device that wait for nothing: pinned memory, and streams of their own on an NVIDIA GPU."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch

from ...media import Floats, Samples
from .plane_ring import PlaneRing


class Transfer:
    """Uploads to and downloads from one device.

    torch keeps pinned blocks for the next frame once their copies are done: as many as frames are in transit, a source that
    comes up ahead and what waits for the encoder, whose queue is bounded in bytes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams = _open_streams(device)
        self.ring = PlaneRing(device)
        """Planes that never come down."""

    def upload(self, pixels: Samples | Floats) -> torch.Tensor:
        """Return a copy of ``pixels`` on the device, for the work that is queued there from now on."""
        return self.start_upload([pixels])()[0]

    def start_upload(self, arrays: Sequence[Samples | Floats]) -> Callable[[], list[torch.Tensor]]:
        """Queue copies of ``arrays``, which begin at once beside the work of the device.

        The function returned lets the work that is queued after it wait for them, and returns them.
        """
        staged = [self._copy_to_pinned(array) for array in arrays]
        if not self._streams:
            return lambda: staged
        with torch.cuda.stream(self._streams[0]):
            uploaded = [tensor.to(self._device, non_blocking=True) for tensor in staged]
            finished = _record_event(self._streams[0])

        def wait_on_device() -> list[torch.Tensor]:
            compute = torch.cuda.current_stream(self._device)
            compute.wait_event(finished)
            for tensor in uploaded:
                tensor.record_stream(compute)
            return uploaded

        return wait_on_device

    def _copy_to_pinned(self, array: Samples | Floats) -> torch.Tensor:
        """Copy in this thread alone: waiting for torch's others takes longer than a frame of the source."""
        dtype = torch.as_tensor(np.empty(0, array.dtype)).dtype
        pinned = torch.empty(array.shape, dtype=dtype, pin_memory=bool(self._streams))
        np.copyto(pinned.numpy(), array)
        return pinned

    def start_download(self, tensors: Sequence[torch.Tensor]) -> Callable[[], list[Samples]]:
        """Queue copies of ``tensors`` (rows, columns), whose rows may have a distance, after the work that is queued now.

        The function returned waits for them, in any thread, and returns arrays that stay valid.
        """
        if not self._streams:
            arrays: list[Samples] = [tensor.numpy() for tensor in tensors]
            return lambda: arrays
        stream = self._streams[1]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        copies: list[torch.Tensor] = []
        with torch.cuda.stream(stream):
            for tensor in tensors:
                lines = tensor.as_strided((tensor.shape[0], tensor.stride(0)), (tensor.stride(0), 1))
                pinned = torch.empty(lines.shape, dtype=lines.dtype, pin_memory=True).copy_(lines, non_blocking=True)
                lines.record_stream(stream)
                copies.append(pinned[:, : tensor.shape[1]])
            finished = _record_event(stream)

        def wait() -> list[Samples]:
            finished.synchronize()
            return [copy.numpy() for copy in copies]

        return wait

    def finish_later(self, tensors: Sequence[torch.Tensor]) -> Callable[[], Sequence[torch.Tensor]]:
        """Return a function that waits, in any thread, for the work that is queued now, and returns ``tensors`` of the device.

        It leaves the device current in its thread, because FFmpeg takes over the CUDA context of the thread that calls it.
        """
        if not self._streams:
            return lambda: tensors
        finished = _record_event(torch.cuda.current_stream(self._device))

        def wait() -> Sequence[torch.Tensor]:
            torch.cuda.set_device(tensors[0].device)
            finished.synchronize()
            return tensors

        return wait

    def wait(self) -> None:
        """Wait for the work that is queued now."""
        if self._streams:
            _record_event(torch.cuda.current_stream(self._device)).synchronize()


def _record_event(stream: torch.cuda.Stream) -> torch.cuda.Event:
    """A thread that waits for it sleeps; otherwise it would keep a core busy, which encoders need."""
    return cast("torch.cuda.Event", stream.record_event(torch.cuda.Event(blocking=True)))


def _open_streams(device: torch.device) -> list[torch.cuda.Stream]:
    """Return one stream for each direction; none on a device that has no streams."""
    return [torch.cuda.Stream(device) for _ in range(2)] if device.type == "cuda" else []
