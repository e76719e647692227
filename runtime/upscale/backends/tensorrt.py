"""TensorRT: runs the engine attached to a model, on tiles up to the engine's size; smaller ones are padded where necessary.

An engine for a range of sizes gets every tile as torch would. One for a single size (a network that works in windows) gets the
tiles at the right and lower border mirrored up to that size, so there the result is close to torch's, not equal to it.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import HardwareMissing, ModelDamaged, OutOfMemory, Upscale8KError, WorkflowError
from ...models import UpscaleModel
from ...trt import AttachedEngine, EngineSession, get_engine, open_engine_session
from ..device import resolve_precision
from .base import OnProgress, Precision, ResolvedPrecision, no_progress
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
        self._torch_backend: TorchBackend | None = None
        self._fp32_backend: TorchBackend | None = None
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
        if self._session is None and self._torch_backend:
            return self._torch_backend.run(batch, on_progress)
        tiles = torch.as_tensor(batch).permute(0, 3, 1, 2).to(self._device)
        upscaled, _ = self.run_on_device(tiles, checked=True)
        return np.ascontiguousarray(upscaled.permute(0, 2, 3, 1).float().cpu().numpy())

    def run_on_device(self, tiles: torch.Tensor, *, checked: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        if self._session is not None:
            try:
                results = [self._run_tile(self._session, tile[None], checked=checked) for tile in tiles]
                return torch.cat([upscaled for upscaled, _ in results]), torch.stack([valid for _, valid in results]).all()
            except (ModelDamaged, OutOfMemory) as error:
                if isinstance(error, OutOfMemory) and not (len(tiles) == 1 and _is_smallest(tiles, self._session)):
                    raise  # a smaller tile may fit
                self._fall_back(error)
        assert self._torch_backend is not None
        return self._torch_backend.run_on_device(tiles, checked=checked)

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

    def _run_tile(self, session: EngineSession, tile: torch.Tensor, *, checked: bool) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = (side * self._model.scale for side in tile.shape[2:])
        upscaled = session.run(_pad_to_engine(tile, session))[:, :, :height, :width]
        is_valid = torch.isfinite(upscaled.sum(dtype=torch.float32)) & is_plausible(tile, upscaled)
        if checked and not bool(is_valid):
            return self._rerun_in_fp32(tile), torch.ones_like(is_valid)
        return upscaled, is_valid

    def _rerun_in_fp32(self, tile: torch.Tensor) -> torch.Tensor:
        if self._fp32_backend is None:
            self.warnings.append("A tile overflowed in the engine and was computed again by torch in fp32.")
            self._fp32_backend = TorchBackend(self._model, self._device, "fp32")
        return self._fp32_backend.run_on_device(tile, checked=False)[0]


def _open_session(engine: AttachedEngine, device: torch.device, warnings: list[str]) -> EngineSession:
    if device.type != "cuda":
        raise HardwareMissing(
            f"A TensorRT engine runs on an NVIDIA GPU, not on {device}.",
            "Use the backend torch, or turn on fallback in TRT Build.",
            feature="cuda",
        )
    return open_engine_session(engine.path, device, warnings)


def _get_engine_size(tiles: torch.Tensor, session: EngineSession) -> tuple[int, int]:
    """(height, width) of ``tiles`` rounded up to what the engine takes; it may exceed the engine's largest size."""
    info = session.info
    height, width = (
        max(-(-side // info.multiple) * info.multiple, least) for side, least in zip(tiles.shape[2:], info.least, strict=True)
    )
    return height, width


def _is_smallest(tiles: torch.Tensor, session: EngineSession) -> bool:
    """Whether smaller tiles would be padded to the same size, so that they take as much memory."""
    return _get_engine_size(tiles, session) == tuple(session.info.least)


def _pad_to_engine(tile: torch.Tensor, session: EngineSession) -> torch.Tensor:
    """``tile`` mirrored at its far sides up to a size that the engine takes. Raises ``WorkflowError`` for a larger tile."""
    info = session.info
    height, width = _get_engine_size(tile, session)
    if height > info.most[0] or width > info.most[1]:
        raise WorkflowError(
            f"The engine takes tiles up to {info.most[1]}x{info.most[0]} pixels with their halo, not {width}x{height}.",
            f"Use tile {info.tile} or 0, or build an engine for a larger tile.",
        )
    for axis, side in ((2, height), (3, width)):
        if side > tile.shape[axis]:  # a tile may be smaller than what is added, which torch's own padding does not take
            mirrored = np.pad(np.arange(tile.shape[axis]), (0, side - tile.shape[axis]), "reflect")
            tile = tile.index_select(axis, torch.as_tensor(mirrored, device=tile.device))
    return tile
