"""TensorRT: runs the engine attached to a model, on tiles up to the engine's size; smaller ones are padded where necessary.

An engine for a range of sizes gets every tile as torch would. One for a single size (a network that works in windows) gets the
tiles at the right and lower border mirrored up to that size, so there the result is close to torch's, not equal to it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import HardwareMissing, ModelDamaged, OutOfMemory, Upscale8KError, WorkflowError
from ...models import UpscaleModel
from ...trt import AttachedEngine, EngineSession, get_engine, open_engine_session
from ..device import resolve_precision
from .base import Backend, OnProgress, Precision, ResolvedPrecision, no_progress
from .torch import TorchBackend, is_plausible

Batch = NDArray[np.float32]


class TensorRtBackend:
    """Runs a model by its engine, and by torch in fp32 where a tile overflowed in the engine's half precision.

    With ``fallback`` torch takes over, and a warning says why, when the engine cannot be loaded or run on this machine.
    """

    def __init__(self, model: UpscaleModel, device: torch.device, precision: ResolvedPrecision) -> None:
        self.warnings: list[str] = []
        self._model = model
        self._device = device
        self._precision: ResolvedPrecision = precision
        self._torch_backend: Backend | None = None
        self._fp32_backend: Backend | None = None
        engine = get_engine(model.descriptor)
        if engine is None:
            raise WorkflowError(
                "The backend tensorrt needs a model with a TensorRT engine.",
                "Put the node TRT Build between model and upscaler.",
            )
        self._fallback = engine.fallback
        self._session: EngineSession | None = None
        try:
            self._session = _open_session(engine, device, self.warnings)
        except (Upscale8KError, RuntimeError) as error:  # CUDA and TensorRT raise RuntimeError where driver and library differ
            self._fall_back(error)

    def run(self, batch: Batch, on_progress: OnProgress = no_progress) -> Batch:
        if self._session is not None:
            try:
                return np.concatenate([self._run_tile(self._session, tile[None]) for tile in batch])
            except (ModelDamaged, OutOfMemory) as error:
                if isinstance(error, OutOfMemory) and not _is_smallest(batch, self._session):
                    raise  # a smaller tile may fit
                self._fall_back(error)
        assert self._torch_backend is not None
        return self._torch_backend.run(batch, on_progress)

    def close(self) -> None:
        for opened in (self._session, self._torch_backend, self._fp32_backend):
            if opened:
                opened.close()
        self._session = self._torch_backend = self._fp32_backend = None

    def _fall_back(self, error: Exception) -> None:
        """Let torch run the model from now on. Raises ``error`` where that was not requested."""
        if not self._fallback:
            raise error
        if self._session:
            self._session.close()
            self._session = None
        # The precision may be the engine's own; on a CPU, or for a model that is not safe in fp16, torch takes fp32 instead.
        requested: Precision = "auto" if self._precision == "fp16" else self._precision
        precision = resolve_precision(requested, self._model, self._device)
        self._torch_backend = TorchBackend(self._model, self._device, precision)
        reason = error.what if isinstance(error, Upscale8KError) else f"The engine cannot run here: {error}."
        self.warnings.append(f"{reason} torch takes over (fallback is on).")

    def _run_tile(self, session: EngineSession, tile: Batch) -> Batch:
        height, width = tile.shape[1:3]
        padded = _pad_to_engine(tile, session)
        planes = torch.as_tensor(np.ascontiguousarray(padded.transpose(0, 3, 1, 2)))
        result = session.run(planes.to(self._device))
        upscaled = result[:, :, : height * self._model.scale, : width * self._model.scale].float().cpu()
        if not (bool(torch.isfinite(upscaled).all()) and is_plausible(planes, upscaled)):
            return self._rerun_in_fp32(tile)
        return np.ascontiguousarray(upscaled.permute(0, 2, 3, 1).numpy())

    def _rerun_in_fp32(self, tile: Batch) -> Batch:
        if self._fp32_backend is None:
            self.warnings.append("A tile overflowed in the engine and was computed again by torch in fp32.")
            self._fp32_backend = TorchBackend(self._model, self._device, "fp32")
        return self._fp32_backend.run(tile)


def _open_session(engine: AttachedEngine, device: torch.device, warnings: list[str]) -> EngineSession:
    if device.type != "cuda":
        raise HardwareMissing(
            f"A TensorRT engine runs on an NVIDIA GPU, not on {device}.",
            "Use the backend torch, or turn on fallback in TRT Build.",
            feature="cuda",
        )
    return open_engine_session(engine.path, device, warnings)


def _get_engine_size(tile: Batch, session: EngineSession) -> tuple[int, int]:
    """(height, width) of ``tile`` rounded up to what the engine takes; it may exceed the engine's largest size."""
    info = session.info
    height, width = (
        max(-(-side // info.multiple) * info.multiple, least) for side, least in zip(tile.shape[1:3], info.least, strict=True)
    )
    return height, width


def _is_smallest(batch: Batch, session: EngineSession) -> bool:
    """Whether smaller tiles would be padded to the same size, so that they take as much memory."""
    return len(batch) == 1 and _get_engine_size(batch, session) == tuple(session.info.least)


def _pad_to_engine(tile: Batch, session: EngineSession) -> Batch:
    """``tile`` mirrored at its far sides up to a size that the engine takes. Raises ``WorkflowError`` for a larger tile."""
    info = session.info
    height, width = _get_engine_size(tile, session)
    if height > info.most[0] or width > info.most[1]:
        raise WorkflowError(
            f"The engine takes tiles up to {info.most[1]}x{info.most[0]} pixels with their halo, not {width}x{height}.",
            f"Use tile {info.tile} or 0, or build an engine for a larger tile.",
        )
    padding = ((0, 0), (0, height - tile.shape[1]), (0, width - tile.shape[2]), (0, 0))
    return np.pad(tile, padding, "reflect") if height > tile.shape[1] or width > tile.shape[2] else tile
