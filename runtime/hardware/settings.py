"""Recommend settings for this machine, each with its reason; the tile fits the memory that is free."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..upscale import AUTO, Precision
from .calibration import Calibration, Measurement, choose_backend, find_measurements
from .capacity import MAX_QUEUE_BYTES, QUEUE_BYTES_PER_CORE, compute_queue_bytes
from .cpu import has_bf16
from .detect import Machine
from .gpu import Gpu
from .report import format_bytes
from .tile_memory import (
    HEAVIEST_NETWORK,
    TILE_SIDES,
    Footprint,
    NetworkProfile,
    choose_cost_tolerance,
    choose_tile_side,
    default_footprint,
    memory_budget,
)

MODEL_HALO = -1
"""The halo input's value for the model's own halo."""

_MAX_BATCH = 4
_MAX_WORKSPACE_MB = 4096
_CPU_FP16_REASONS = {
    False: "Processors compute in fp32, because fp16 is slower.",
    True: "On a processor fp16 is slower than fp32. This one supports bf16: precision auto uses it for each model "
    "that it is faster for, and that is within 50 dB PSNR of fp32 in it.",
}


@dataclass(frozen=True, kw_only=True)
class UpscaleSettings:
    """The value of the wire type ``UPSCALE_SETTINGS``. Lengths are in input pixels without halo."""

    batch_size: int
    tile_size: int
    fp16: bool
    trtexec_workspace: int
    """MB that the TensorRT builder may use; 0 if engines cannot run."""
    backend: str
    halo: int
    queue_bytes: int
    """Most bytes between upscaling and encoding a video; Video Out applies this limit itself."""
    encoder: str
    """Value for ``hardware`` of Video Out: ``nvenc`` or ``none``."""
    device: str
    """The device for these settings."""
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def precision(self) -> Precision:
        """Value for the inputs ``precision``. ``auto`` does not use fp16 for models that overflow in it.

        On a processor ``auto`` is fp32, or bf16 for models that are accurate in it.
        """
        return "auto" if self.fp16 or self.device == "cpu" else "fp32"

    def as_json(self) -> dict[str, Any]:
        """Return plain values, the reasons last."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "reasons"}
        return {**values, "reasons": dict(self.reasons)}

    def __str__(self) -> str:
        return json.dumps(self.as_json(), indent=2)


def recommend_settings(
    machine: Machine, network: NetworkProfile | None = None, *, device: str = "auto", calibration: Calibration | None = None
) -> UpscaleSettings:
    """Recommend settings for ``network`` (default: the heaviest model of the pack) on ``device``.

    Raises ``HardwareMissing`` for a missing device.
    """
    gpu = machine.find_gpu(device)
    builder = _SettingsBuilder(machine, network or HEAVIEST_NETWORK, network is None, gpu, device, calibration or {})
    return builder.build_settings()


class _SettingsBuilder:
    """Builds the settings. Each method chooses one setting and adds its reason."""

    def __init__(
        self,
        machine: Machine,
        network: NetworkProfile,
        is_default_network: bool,
        gpu: Gpu | None,
        device: str,
        calibration: Calibration,
    ) -> None:
        self._machine, self._network, self._is_default_network, self._gpu = machine, network, is_default_network, gpu
        self._device, self._calibration = device, calibration
        self._reasons: dict[str, str] = {}
        memory = machine.memory
        self._free, self._total = memory.available, memory.total
        if gpu is not None and gpu.free is not None and gpu.total is not None:
            self._free, self._total = gpu.free, gpu.total

    def build_settings(self) -> UpscaleSettings:
        fp16 = self._choose_fp16()
        backend = self._choose_backend(fp16)
        footprint = self._estimate_footprint(fp16, backend)
        pixels = footprint.compute_max_pixels(memory_budget(self._free, self._total, on_gpu=self._gpu is not None))
        tile = self._choose_tile(pixels, footprint)
        return UpscaleSettings(
            batch_size=self._choose_batch(tile, pixels),
            tile_size=tile,
            fp16=fp16,
            trtexec_workspace=self._choose_workspace(),
            backend=backend,
            halo=self._choose_halo(),
            queue_bytes=self._choose_queue_bytes(),
            encoder=self._choose_encoder(),
            device=self._choose_device(),
            reasons=self._reasons,
        )

    def _choose_device(self) -> str:
        if self._gpu is None:
            cpu = self._machine.cpu
            reason = "no GPU was found that torch can use" if self._device == "auto" else "it was requested"
            self._reasons["device"] = f"The processor, {cpu.model} with {cpu.cores} cores: {reason}."
            return "cpu"
        reason = "the first GPU" if self._device == "auto" else "the requested GPU"
        self._reasons["device"] = f"{self._gpu.name}, {reason}."
        return self._gpu.device if self._device == "auto" else self._device

    def _has_bf16(self) -> bool:
        return self._gpu is None and has_bf16(self._machine.cpu)

    def _choose_fp16(self) -> bool:
        if self._gpu is None:
            fp16, reason = False, _CPU_FP16_REASONS[self._has_bf16()]
        elif not self._network.half_safe:
            fp16, reason = False, f"{self._network.title} is not safe in fp16."
        elif self._gpu.kind in ("cuda", "rocm") and self._gpu.is_fast_in_half:
            fp16, reason = True, f"{self._gpu.name} needs half the memory in fp16; pixels change by at most 2 of 255."
        else:
            fp16, reason = False, f"{self._gpu.name} is not known to be faster in fp16."
        self._reasons["fp16"] = reason
        return fp16

    def _find_measurements(self, fp16: bool) -> dict[str, Measurement]:
        network, precision = self._network, "fp16" if fp16 else "fp32"
        return find_measurements(self._calibration, self._machine, self._device, network.architecture, network.scale, precision)

    def _choose_backend(self, fp16: bool) -> str:
        measured = self._find_measurements(fp16)
        fastest = None if self._is_default_network or self._has_bf16() else choose_backend(measured)
        if fastest is None:
            self._reasons["backend"] = "Chosen for each model by its architecture, the processor and the installed packages."
            return AUTO
        times_text = ", ".join(
            f"{backend} {one.seconds_per_megapixel:.1f} s"
            for backend, one in sorted(measured.items(), key=lambda item: item[1].seconds_per_megapixel)
        )
        self._reasons["backend"] = f"Measured on this machine for a million pixels of {self._network.title}: {times_text}."
        return fastest

    def _estimate_footprint(self, fp16: bool, backend: str) -> Footprint:
        measured = self._find_measurements(fp16)
        if backend in measured:
            return measured[backend].footprint
        largest = max((one.footprint for one in measured.values()), key=lambda line: line.bytes_per_pixel, default=None)
        network = self._network
        return largest or default_footprint(
            network.architecture, network.scale, backend=backend, half=fp16, on_gpu=self._gpu is not None
        )

    def _choose_tile(self, pixels: int, footprint: Footprint) -> int:
        tolerance = choose_cost_tolerance(self._network.architecture, on_gpu=self._gpu is not None, bf16=self._has_bf16())
        tile = choose_tile_side(self._network.halo, pixels, tolerance)
        needed_bytes = footprint.base + footprint.bytes_per_pixel * (tile + 2 * self._network.halo) ** 2
        source = "measured on this machine" if footprint.is_measured else "estimated"
        memory_name = self._gpu.name if self._gpu and self._gpu.free is not None else "memory"
        assumption = " (the heaviest model of the pack)" if self._is_default_network else ""
        reason = (
            f"{format_bytes(self._free)} of {memory_name} is free; a {tile} px tile with its halo takes about "
            f"{format_bytes(needed_bytes)} with {self._network.title}{assumption}, {source}. "
        )
        if (TILE_SIDES[0] + 2 * self._network.halo) ** 2 > pixels:
            reason += "That exceeds the memory budget: close other programs"
            reason += ", or use the device cpu." if self._gpu else "."
        else:
            reason += f"A larger tile would save less than {tolerance - 1:.0%} of the time, or not fit."
        self._reasons["tile_size"] = reason
        return tile

    def _choose_batch(self, tile: int, pixels: int) -> int:
        if self._gpu is None:
            self._reasons["batch_size"] = "On a processor one tile at a time is as fast as several and needs less memory."
            return 1
        batch = max(1, min(pixels // (tile + 2 * self._network.halo) ** 2, _MAX_BATCH))
        self._reasons["batch_size"] = f"The number of tiles that fit in the memory budget, at most {_MAX_BATCH}."
        return batch

    def _choose_halo(self) -> int:
        if self._is_default_network:
            self._reasons["halo"] = "The model's own halo, with which seams are invisible."
            return MODEL_HALO
        self._reasons["halo"] = f"The halo of {self._network.title}, with which seams are invisible."
        return self._network.halo

    def _choose_workspace(self) -> int:
        if self._gpu is None or self._gpu.kind != "cuda":
            self._reasons["trtexec_workspace"] = "TensorRT engines run on NVIDIA GPUs only."
            return 0
        workspace = min(_MAX_WORKSPACE_MB, memory_budget(self._free, self._total, on_gpu=True) >> 20)
        self._reasons["trtexec_workspace"] = f"MB for the builder: at most {_MAX_WORKSPACE_MB} and 60 % of the free memory."
        return workspace

    def _choose_queue_bytes(self) -> int:
        self._reasons["queue_bytes"] = (
            f"Video Out's limit for the queue between model and encoder: {QUEUE_BYTES_PER_CORE >> 20} MB per core, at most "
            f"{MAX_QUEUE_BYTES >> 20} MB and an eighth of the {format_bytes(self._machine.memory.available)} of free memory."
        )
        return compute_queue_bytes(self._machine.cpu.cores, self._machine.memory.available)

    def _choose_encoder(self) -> str:
        if self._gpu is not None and self._gpu.encoder:
            self._reasons["encoder"] = (
                f"{self._gpu.name} has a video encoder, so the processor stays free; the value none gives smaller files of the "
                "same quality."
            )
            return "nvenc"
        reason = "no GPU is used" if self._gpu is None else f"{self._gpu.name} has no known video encoder"
        self._reasons["encoder"] = f"Videos are encoded on the processor: {reason}."
        return "none"
