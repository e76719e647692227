"""TensorRT: the engine that travels on a model. Tiles up to the engine's size; smaller ones are padded where they must be.

An engine that takes a range of sizes sees every tile as torch would. One for a single size (a network that works in windows)
sees the tiles at the right and lower border mirrored up to it, so there the result is near torch's, not equal to it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import HardwareMissing, Upscale8KError, WorkflowError
from ...models.upscale_model import UpscaleModel
from ...trt.attach import AttachedEngine, get_engine
from ...trt.engine_session import EngineSession, open_engine_session
from ..device import resolve_device
from . import Backend, OnProgress, Precision, no_progress
from .torch import TorchBackend, is_plausible

Batch = NDArray[np.float32]


class TensorRtBackend:
    """Runs a model by its engine, and by torch in fp32 where the engine's half precision overflowed."""

    def __init__(self, model: UpscaleModel, device: str, precision: Precision) -> None:
        self.warnings: list[str] = []
        self._model = model
        self._torch_backend: Backend | None = None
        engine = get_engine(model.descriptor)
        if engine is None:
            raise WorkflowError(
                "The backend tensorrt needs a model that carries an engine.",
                "Put the node TRT Build between model and upscaler.",
            )
        self._device = resolve_device(device)
        self._session = self._open_session(engine, precision)

    def run(self, batch: Batch, on_progress: OnProgress = no_progress) -> Batch:
        session = self._session
        if session is None:
            return self._get_torch_backend("auto").run(batch, on_progress)
        return np.concatenate([self._run_tile(session, tile[None]) for tile in batch])

    def close(self) -> None:
        if self._session:
            self._session.close()
        if self._torch_backend:
            self._torch_backend.close()
        self._session = self._torch_backend = None

    def _open_session(self, engine: AttachedEngine, precision: Precision) -> EngineSession | None:
        try:
            if self._device.type != "cuda":
                raise HardwareMissing(
                    f"A TensorRT engine runs on an NVIDIA GPU, not on {self._device}.",
                    "Use the backend torch, or switch fallback on in TRT Build.",
                    feature="cuda",
                )
            return open_engine_session(engine.path, self._device)
        except Upscale8KError as error:
            if not engine.fallback:
                raise
            self._get_torch_backend(precision)
            self.warnings.append(f"{error.what} torch takes over, as fallback asks.")
            return None

    def _get_torch_backend(self, precision: Precision) -> Backend:
        if self._torch_backend is None:
            self._torch_backend = TorchBackend(self._model, str(self._device), precision)
        return self._torch_backend

    def _run_tile(self, session: EngineSession, tile: Batch) -> Batch:
        height, width = tile.shape[1:3]
        padded = _pad_to_engine(tile, session)
        planes = torch.as_tensor(np.ascontiguousarray(padded.transpose(0, 3, 1, 2)))
        result = session.run(planes.to(self._device))
        upscaled = result[:, :, : height * self._model.scale, : width * self._model.scale].float().cpu()
        if not (bool(torch.isfinite(upscaled).all()) and is_plausible(planes, upscaled)):
            if self._torch_backend is None:
                self.warnings.append("A tile overflowed in the engine and was computed again by torch in fp32.")
            return self._get_torch_backend("fp32").run(tile)
        return np.ascontiguousarray(upscaled.permute(0, 2, 3, 1).numpy())


def _pad_to_engine(tile: Batch, session: EngineSession) -> Batch:
    """The tile, mirrored at its far sides up to a size that the engine takes. Raises ``WorkflowError`` for too large a one."""
    stamp = session.info
    height, width = (
        max(-(-side // stamp.multiple) * stamp.multiple, min_side)
        for side, min_side in zip(tile.shape[1:3], stamp.least, strict=True)
    )
    if height > stamp.most[0] or width > stamp.most[1]:
        raise WorkflowError(
            f"The engine takes tiles up to {stamp.most[1]}x{stamp.most[0]} pixels with their halo, not {width}x{height}.",
            f"Use tile {stamp.tile} or 0, or build an engine for a larger tile.",
        )
    padding = ((0, 0), (0, height - tile.shape[1]), (0, width - tile.shape[2]), (0, 0))
    return np.pad(tile, padding, "reflect") if height > tile.shape[1] or width > tile.shape[2] else tile
