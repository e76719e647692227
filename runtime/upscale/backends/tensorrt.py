"""TensorRT: the engine that travels on a model. Tiles up to the engine's size; smaller ones are padded where they must be.

An engine that takes a range of sizes sees every tile as torch would. One for a single size (a network that works in windows)
sees the tiles at the right and lower border mirrored up to it, so there the result is near torch's, not equal to it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...engines.session import Session, open_session
from ...engines.wire import Engine, engine_of
from ...errors import HardwareMissing, Upscale8KError, WorkflowError
from ...models.facts import UpscaleModel
from ..device import resolve
from . import Backend, Part, Precision, untold
from .torch import TorchBackend, plausible

Batch = NDArray[np.float32]


class TensorRtBackend:
    """Runs a model by its engine, and by torch in fp32 where the engine's half precision overflowed."""

    def __init__(self, model: UpscaleModel, device: str, precision: Precision) -> None:
        self.warnings: list[str] = []
        self._model = model
        self._torch: Backend | None = None
        engine = engine_of(model.descriptor)
        if engine is None:
            raise WorkflowError(
                "The backend tensorrt needs a model that carries an engine.",
                "Put the node TRT Build between model and upscaler.",
            )
        self._device = resolve(device)
        self._session = self._opened(engine, precision)

    def run(self, batch: Batch, part: Part = untold) -> Batch:
        session = self._session
        if session is None:
            return self._by_torch("auto").run(batch, part)
        return np.concatenate([self._tile(session, tile[None]) for tile in batch])

    def close(self) -> None:
        if self._session:
            self._session.close()
        if self._torch:
            self._torch.close()
        self._session = self._torch = None

    def _opened(self, engine: Engine, precision: Precision) -> Session | None:
        try:
            if self._device.type != "cuda":
                raise HardwareMissing(
                    f"A TensorRT engine runs on an NVIDIA GPU, not on {self._device}.",
                    "Use the backend torch, or switch fallback on in TRT Build.",
                    feature="cuda",
                )
            return open_session(engine.path, self._device)
        except Upscale8KError as error:
            if not engine.fallback:
                raise
            self._by_torch(precision)
            self.warnings.append(f"{error.what} torch takes over, as fallback asks.")
            return None

    def _by_torch(self, precision: Precision) -> Backend:
        if self._torch is None:
            self._torch = TorchBackend(self._model, str(self._device), precision)
        return self._torch

    def _tile(self, session: Session, tile: Batch) -> Batch:
        height, width = tile.shape[1:3]
        shown = _within(tile, session)
        planes = torch.as_tensor(np.ascontiguousarray(shown.transpose(0, 3, 1, 2)))
        result = session.run(planes.to(self._device))
        upscaled = result[:, :, : height * self._model.scale, : width * self._model.scale].float().cpu()
        if not (bool(torch.isfinite(upscaled).all()) and plausible(planes, upscaled)):
            if self._torch is None:
                self.warnings.append("A tile overflowed in the engine and was computed again by torch in fp32.")
            return self._by_torch("fp32").run(tile)
        return np.ascontiguousarray(upscaled.permute(0, 2, 3, 1).numpy())


def _within(tile: Batch, session: Session) -> Batch:
    """The tile, mirrored at its far sides up to a size that the engine takes. Raises ``WorkflowError`` for too large a one."""
    stamp = session.stamp
    height, width = (
        max(-(-side // stamp.multiple) * stamp.multiple, least)
        for side, least in zip(tile.shape[1:3], stamp.least, strict=True)
    )
    if height > stamp.most[0] or width > stamp.most[1]:
        raise WorkflowError(
            f"The engine takes tiles up to {stamp.most[1]}x{stamp.most[0]} pixels with their halo, not {width}x{height}.",
            f"Use tile {stamp.tile} or 0, or build an engine for a larger tile.",
        )
    more = ((0, 0), (0, height - tile.shape[1]), (0, width - tile.shape[2]), (0, 0))
    return np.pad(tile, more, "reflect") if height > tile.shape[1] or width > tile.shape[2] else tile
