"""``comfy.model_management``: devices and memory, answered with the host; nothing is kept on a device between nodes."""

from __future__ import annotations

from enum import Enum
from typing import Any

from ....errors import Cancelled
from ...absent import Absent, plain
from ...current import host


def __getattr__(name: str) -> Any:
    if name == "OOM_EXCEPTION":
        import torch

        return torch.OutOfMemoryError
    return Absent(f"comfy.model_management.{plain('comfy.model_management', name)}")


class VRAMState(Enum):
    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    GPU = 0
    CPU = 1
    MPS = 2


vram_state = VRAMState.NORMAL_VRAM
DISABLE_SMART_MEMORY = False
XFORMERS_IS_AVAILABLE = False


class InterruptProcessingException(Cancelled):
    """Raised by a node that stops the run."""

    def __init__(self, *args: object) -> None:
        super().__init__(str(args[0]) if args else "The node stopped the run.")


def throw_exception_if_processing_interrupted() -> None:
    """Ctrl-C arrives by itself."""


def processing_interrupted() -> bool:
    return False


def interrupt_current_processing(value: bool = True) -> None:
    if value:
        raise InterruptProcessingException


def get_torch_device() -> Any:
    """The device of the command line; ``auto`` is the first GPU, then Apple's, then the CPU."""
    import torch

    name = host().device()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device(name)


def _cpu() -> Any:
    import torch

    return torch.device("cpu")


unet_offload_device = text_encoder_offload_device = vae_offload_device = intermediate_device = _cpu
text_encoder_device = vae_device = get_torch_device


def get_all_torch_devices(exclude_current: bool = False) -> list[Any]:
    return [] if exclude_current else [get_torch_device()]


def get_torch_device_name(device: Any) -> str:
    return str(device)


def is_device_type(device: Any, type: str) -> bool:
    return getattr(device, "type", None) == type


def is_device_cpu(device: Any) -> bool:
    return is_device_type(device, "cpu")


def is_device_mps(device: Any) -> bool:
    return is_device_type(device, "mps")


def is_device_cuda(device: Any) -> bool:
    return is_device_type(device, "cuda")


def cpu_mode() -> bool:
    return is_device_cpu(get_torch_device())


def mps_mode() -> bool:
    return is_device_mps(get_torch_device())


def is_nvidia() -> bool:
    import torch

    return is_device_cuda(get_torch_device()) and torch.version.cuda is not None


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Bytes of a device's memory."""
    import psutil
    import torch

    dev = dev if dev is not None else get_torch_device()
    total = torch.cuda.mem_get_info(dev)[1] if is_device_cuda(dev) else psutil.virtual_memory().total
    return (total, total) if torch_total_too else total


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Bytes of a device's memory that nobody uses."""
    import psutil
    import torch

    dev = dev if dev is not None else get_torch_device()
    free = torch.cuda.mem_get_info(dev)[0] if is_device_cuda(dev) else psutil.virtual_memory().available
    return (free, free) if torch_free_too else free


def free_memory(memory_required: float, device: Any, *_: Any, **__: Any) -> list[Any]:
    """No model is kept that could make room."""
    return []


def unload_all_models() -> None:
    """No model is kept."""


def cleanup_models() -> None:
    """No model is kept."""


def soft_empty_cache(force: bool = False) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def should_use_fp16(*_: Any, **__: Any) -> bool:
    """Full precision, which is right on every device."""
    return False


def should_use_bf16(*_: Any, **__: Any) -> bool:
    return False


def module_size(module: Any) -> int:
    """Bytes of a torch module's weights."""
    return sum(value.nelement() * value.element_size() for value in module.state_dict().values())
