"""Copies between host and device that wait for nothing: pinned memory, and streams of their own on an NVIDIA GPU."""

from collections.abc import Callable, Sequence

import torch

from ...media import Samples


class Transfer:
    """Uploads to and downloads from one device. torch keeps pinned blocks for the next frame, once their copies are done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams = [torch.cuda.Stream(device) for _ in range(2)] if device.type == "cuda" else []

    def upload(self, pixels: Samples) -> torch.Tensor:
        """Return a copy of ``pixels`` on the device, for the work that is queued there from now on."""
        source = torch.as_tensor(pixels)
        if not self._streams:
            return source.to(self._device, copy=True)
        pinned = torch.empty(source.shape, dtype=source.dtype, pin_memory=True).copy_(source)
        compute = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._streams[0]):
            uploaded = pinned.to(self._device, non_blocking=True)
        compute.wait_stream(self._streams[0])
        uploaded.record_stream(compute)
        return uploaded

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
            finished = stream.record_event()

        def wait() -> list[Samples]:
            finished.synchronize()
            return [copy.numpy() for copy in copies]

        return wait
