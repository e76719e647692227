"""Machines that are not here: NVML as it answers on other people's computers, and control groups as containers have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from upscale8k.runtime.hardware.capacity import SystemMemory
from upscale8k.runtime.hardware.cpu import Cpu
from upscale8k.runtime.hardware.detect import Machine
from upscale8k.runtime.hardware.gpu import Gpu

GB = 1_000_000_000


@dataclass
class Card:
    """What NVML answers for one card; None raises NVML_ERROR_NOT_SUPPORTED, as cards do that lack something."""

    name: str | bytes = "NVIDIA GeForce RTX 4090"
    total: int | None = 24 * GB
    free: int = 20 * GB
    capability: tuple[int, int] | None = (8, 9)
    encoder: int | None = 100
    decoder: int | None = 0
    power: int | None = 450_000
    clock: int | None = 3105
    uuid: str = "GPU-4090"
    lost: bool = False


def supported(value: Any) -> Any:
    if value is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return value


Plug = Callable[..., None]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Put cards into this computer: the functions of the real pynvml answer for them, with its own exceptions."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def handle(cards: tuple[Card, ...], index: int) -> Card:
        if cards[index].lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return cards[index]

    def plug(*cards: Card, starts: int | None = None) -> None:
        def start() -> None:
            if starts is not None:
                raise pynvml.NVMLError(starts)

        answers: dict[str, Callable[..., Any]] = {
            "nvmlInit": start,
            "nvmlShutdown": lambda: None,
            "nvmlSystemGetDriverVersion": lambda: "580.65.06",
            "nvmlSystemGetCudaDriverVersion_v2": lambda: 13000,
            "nvmlDeviceGetCount": lambda: len(cards),
            "nvmlDeviceGetHandleByIndex": lambda index: handle(cards, index),
            "nvmlDeviceGetName": lambda card: card.name,
            "nvmlDeviceGetUUID": lambda card: card.uuid,
            "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(total=supported(card.total), free=card.free),
            "nvmlDeviceGetCudaComputeCapability": lambda card: supported(card.capability),
            "nvmlDeviceGetEnforcedPowerLimit": lambda card: supported(card.power),
            "nvmlDeviceGetMaxClockInfo": lambda card, which: supported(card.clock),
            "nvmlDeviceGetEncoderCapacity": lambda card, which: supported(card.encoder),
            "nvmlDeviceGetDecoderUtilization": lambda card: [supported(card.decoder), 1000],
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, answer)

    return plug


@pytest.fixture
def groups(tmp_path: Path) -> Callable[[dict[str, str]], tuple[Path, Path]]:
    """Write a tree of control groups; its root, and the file that says which group this process is in."""

    def write(files: dict[str, str]) -> tuple[Path, Path]:
        root = tmp_path / "cgroup"
        for name, text in files.items():
            path = tmp_path / "self" if name == "self" else root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root, tmp_path / "self"

    return write


def machine(*gpus: Gpu, available: int = 32 * GB, build: str | None = "CUDA 13.0", **more: Any) -> Machine:
    """A computer with 8 cores and these GPUs."""
    return Machine(
        system="Linux",
        cpu=Cpu("Some CPU", 8, 8, None, ("AVX2",)),
        memory=SystemMemory(64 * GB, available),
        gpus=gpus,
        torch_build=build,
        **more,
    )


def gpu(free: int | None = 20 * GB, **more: Any) -> Gpu:
    """A card as in ``Card``."""
    facts: dict[str, Any] = {
        "kind": "cuda",
        "index": 0,
        "name": "NVIDIA GeForce RTX 4090",
        "total": 24 * GB if free is not None else None,
        "compute_capability": (8, 9),
        "encoder": True,
    }
    return Gpu(free=free, **{**facts, **more})
